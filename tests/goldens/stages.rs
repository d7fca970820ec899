//! Every stage of the model against the reference, each run on the reference's own input to that stage.

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::Value;
use smolvlm::checkpoint::Weights;
use smolvlm::config::{FloatType, ModelConfig};
use smolvlm::model::{
    ForwardOptions, HostTensor, KeepLogits, ModelInputs, Network, PackedFormat, StepInput, WeightFormat,
};
use smolvlm::{Dtype, Options, SmolVlm, Source};
use smolvlm_tests::{Case, Checkpoint, Golden, Trials, checkpoints, tensor_rows};
use std::sync::Arc;

/// Largest error of a stage in f32, relative to the largest value of the stage. Sums are computed in a different order
/// than in torch, and errors grow with depth; the largest measured error is 2e-6.
const TOLERANCE: f32 = 1e-5;
/// Lowest cosine of logits in bf16, as between the reference's own bf16 and f32 runs.
const BF16_COSINE: f64 = 0.999;
/// Largest error of a logit in bf16, relative to the root mean square of all; the reference's own two runs differ by up
/// to 0.058.
const BF16_LARGEST: f64 = 0.1;
/// Lowest cosine of logits with 8-bit weights and activations; the lowest measured is 0.9987.
const Q8_COSINE: f64 = 0.998;
/// Lowest cosine of logits with 4-bit weights in the text model; the lowest measured is 0.896, on random weights, which
/// quantize worse than trained ones.
const Q4_COSINE: f64 = 0.88;
/// Lowest cosine of logits between 8-bit and f32 activations with the same quantized weights.
const ACTIVATIONS_COSINE: f64 = 0.99;
/// Lowest cosine of image features in bf16 and 8 bits; the lowest measured is 0.9999.
const FEATURES_COSINE: f64 = 0.999;

fn load(checkpoint: &Checkpoint, format: impl Into<WeightFormat>) -> Network {
    let config = ModelConfig::from_directory(&checkpoint.model()).unwrap();
    let weights = Weights::open(checkpoint.model()).unwrap();
    let (model, report) = Network::load(&config, &weights, &Device::flex(), format).unwrap();
    // Old exports contain a buffer that models no longer use.
    let obsolete = |name: &String| name.ends_with("embeddings.position_ids");
    assert!(report.unexpected.iter().all(obsolete), "{}: {:?}", checkpoint.name, report.unexpected);
    model
}

fn read<const D: usize>(tensor: Tensor<D>) -> HostTensor {
    HostTensor::read(tensor).unwrap()
}

/// f32 as tensors of the backend, and packed for the CPU kernels.
const EXACT: [WeightFormat; 2] = [WeightFormat::Tensors(FloatType::F32), WeightFormat::Packed(PackedFormat::F32)];

/// Adds the trials of every stage.
pub fn add(trials: &mut Trials, cases: &[Arc<(Checkpoint, Case)>]) {
    let with_bf16: Vec<_> = cases.iter().filter(|case| Golden::new(&case.1).has("logits_bf16")).cloned().collect();
    assert!(!with_bf16.is_empty(), "no golden has bf16 logits");
    trials.add_cases("vision_encoder_and_connector", cases, vision_encoder_and_connector);
    trials.add_cases("text_model_and_logits", cases, text_model_and_logits);
    trials.add_cases("half_precision_logits", &with_bf16, half_precision_logits);
    trials.add_cases("quantized_logits", cases, quantized_logits);
    trials.add_cases("quantized_image_features", cases, quantized_image_features);
    trials.add_cases("tokens_without_a_cache", cases, tokens_without_a_cache);
    for checkpoint in checkpoints() {
        let name = format!("quantized_checkpoint_equals_quantization_at_load_time::{}", checkpoint.name);
        trials.add(name, move || quantized_checkpoint_equals_quantization_at_load_time(&checkpoint));
    }
    trials.add("old_and_new_config_spellings_agree", old_and_new_config_spellings_agree);
}

fn vision_encoder_and_connector(checkpoint: &Checkpoint, case: &Case) {
    let golden = Golden::new(case);
    let Some((pixels, edge)) = golden.pixels() else { return };
    for format in EXACT {
        let model = load(checkpoint, format);
        let seen = model.image_features(&[&pixels], edge, 1, true).unwrap().unwrap();
        let state = |index: usize| read(seen.vision_hidden_states[index].clone());
        golden.assert_close(TOLERANCE, "vision_embeddings", &state(0));
        golden.assert_close(TOLERANCE, "vision_layer_0", &state(1));
        golden.assert_close(TOLERANCE, "vision_last_hidden_state", &state(seen.vision_hidden_states.len() - 1));

        let wanted = golden.features();
        let found = read(seen.features);
        assert_eq!(found.shape, wanted.shape, "{}", case.name);
        let largest = wanted.data.iter().fold(0f32, |most, value| most.max(value.abs()));
        for (a, b) in found.data.iter().zip(&wanted.data) {
            assert!((a - b).abs() <= TOLERANCE * largest, "{} connector_out: {a} instead of {b}", case.name);
        }
    }
}

/// Returns the reference's prompt and image features as inputs of the model.
fn inputs(case: &Case, golden: &Golden) -> ModelInputs {
    let grid = |key: &str| -> Vec<Vec<u32>> { serde_json::from_value(case.expected[key].clone()).unwrap() };
    let zeros = |row: &Vec<u32>| row.iter().filter(|&&bit| bit == 0).count();
    let features = golden.has("connector_out").then(|| {
        let wanted = golden.floats("connector_out");
        let shape = [wanted.shape[0] * wanted.shape[1], wanted.shape[2]];
        Tensor::<2>::from_data(TensorData::new(wanted.data, shape), (&Device::flex(), DType::F32))
    });
    ModelInputs {
        input_ids: grid("input_ids").concat(),
        padding: grid("attention_mask").iter().map(zeros).collect(),
        features,
    }
}

fn text_model_and_logits(checkpoint: &Checkpoint, case: &Case) {
    let golden = Golden::new(case);
    for format in EXACT {
        let model = load(checkpoint, format);
        let inputs = inputs(case, &golden);
        let options = ForwardOptions { logits: KeepLogits::All, hidden_states: true };
        let output = model.forward(&inputs, options).unwrap();
        let chosen = golden.integers("positions");
        let state = |index: usize| tensor_rows(read(output.hidden_states[index].clone()), &chosen);
        golden.assert_close(TOLERANCE, "inputs_embeds", &state(0));
        golden.assert_close(TOLERANCE, "text_layer_0", &state(1));
        golden.assert_close(TOLERANCE, "text_norm_out", &state(output.hidden_states.len() - 1));
        golden.assert_close(
            TOLERANCE,
            "logits",
            &tensor_rows(read(output.logits.unwrap()), &golden.integers("logit_positions")),
        );
    }
}

/// Returns the cosine of two vectors, and their largest difference relative to the root mean square of the second.
fn compare(found: &[f32], wanted: &[f32]) -> (f64, f64) {
    assert_eq!(found.len(), wanted.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = dot(found, wanted) / (dot(found, found) * dot(wanted, wanted)).sqrt();
    let worst = found.iter().zip(wanted).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
    (cosine, f64::from(worst) / (dot(wanted, wanted) / wanted.len() as f64).sqrt())
}

/// Returns the logits of a case at the positions stored in its golden, computed from the reference's image features.
fn golden_logits(model: &Network, case: &Case, golden: &Golden) -> Vec<f32> {
    let inputs = inputs(case, golden);
    let options = ForwardOptions { logits: KeepLogits::All, hidden_states: false };
    let logits = read(model.forward(&inputs, options).unwrap().logits.unwrap());
    tensor_rows(logits, &golden.integers("logit_positions")).data
}

fn half_precision_logits(checkpoint: &Checkpoint, case: &Case) {
    let golden = Golden::new(case);
    for format in [WeightFormat::Tensors(FloatType::Bf16), WeightFormat::Packed(PackedFormat::Bf16)] {
        let found = golden_logits(&load(checkpoint, format), case, &golden);
        for stage in ["logits_bf16", "logits"] {
            let (cosine, worst) = compare(&found, &golden.floats(stage).data);
            println!("{stage} in bf16: cosine {cosine:.6}, largest {worst:.4} {}", case.name);
            assert!(cosine > BF16_COSINE, "{} {stage}: cosine {cosine}", case.name);
            assert!(worst <= BF16_LARGEST, "{} {stage}: off by {worst} of the root mean square", case.name);
        }
    }
}

/// Logits of quantized weights agree with those of f32 in direction. The bounds are set by the least favorable of the
/// tiny random checkpoints: their rows are a tenth as long as those of real models, so rounding errors average out
/// less.
fn quantized_logits(checkpoint: &Checkpoint, case: &Case) {
    let golden = Golden::new(case);
    for (format, bound) in [(PackedFormat::Q8, Q8_COSINE), (PackedFormat::Q4, Q4_COSINE)] {
        let model = load(checkpoint, WeightFormat::Packed(format));
        let (cosine, worst) = compare(&golden_logits(&model, case, &golden), &golden.floats("logits").data);
        println!("logits in {format:?}: cosine {cosine:.6}, largest {worst:.4} {}", case.name);
        assert!(cosine > bound, "{} {format:?}: cosine {cosine}", case.name);
    }
}

fn quantized_image_features(checkpoint: &Checkpoint, case: &Case) {
    let golden = Golden::new(case);
    let Some((pixels, edge)) = golden.pixels() else { return };
    for format in [PackedFormat::Bf16, PackedFormat::Q8].map(WeightFormat::Packed) {
        let model = load(checkpoint, format);
        let seen = model.image_features(&[&pixels], edge, 2, false).unwrap().unwrap();
        let (cosine, worst) = compare(&read(seen.features).data, &golden.features().data);
        println!("features: cosine {cosine:.6}, largest {worst:.4} {}", case.name);
        assert!(cosine > FEATURES_COSINE, "{}: cosine {cosine}", case.name);
    }
}

fn quantized_checkpoint_equals_quantization_at_load_time(checkpoint: &Checkpoint) {
    for (dtype, format) in [(Dtype::Q8, PackedFormat::Q8), (Dtype::Q4, PackedFormat::Q4)] {
        let folder = tempfile::tempdir().unwrap();
        let (small, source) = (folder.path().join("small"), Source::directory(checkpoint.model()));
        smolvlm::quantize(source, &[], dtype, &small, &mut |_| {}).unwrap();
        let loaded = SmolVlm::load(Source::directory(&small), Options::default()).unwrap();
        assert_eq!(loaded.format(), WeightFormat::Packed(format), "{}", checkpoint.name);
        assert!(loaded.load_report().unexpected.is_empty(), "{}", checkpoint.name);
        let direct = load(checkpoint, WeightFormat::Packed(format));
        let tile: Vec<f32> = {
            let edge = loaded.config().vision.image_size;
            (0..3 * edge * edge).map(|i| (i % 255) as f32 / 127.5 - 1.0).collect()
        };
        let run = |model: &Network| {
            let edge = loaded.config().vision.image_size;
            let features = read(model.image_features(&[&tile], edge, 1, false).unwrap().unwrap().features).data;
            let mut sequences = model.new_sequences(4);
            let prompt = StepInput::text(sequences.add(), &[1, 5, 9, 3]);
            (features, model.step(&mut sequences, &[prompt]).unwrap())
        };
        assert_eq!(run(loaded.model()), run(&direct), "{} {format:?}", checkpoint.name);
        // Loaded in another format, it has the dequantized values.
        let wide = Options { dtype: Dtype::F32, ..Options::default() };
        let wide = SmolVlm::load(Source::directory(&small), wide).unwrap();
        let (cosine, _) = compare(&run(wide.model()).1, &run(&direct).1);
        assert!(cosine > ACTIVATIONS_COSINE, "{} {format:?}: cosine {cosine}", checkpoint.name);
    }
}

fn tokens_without_a_cache(checkpoint: &Checkpoint, case: &Case) {
    let golden = Golden::new(case);
    for format in EXACT {
        let model = load(checkpoint, format);
        let inputs = inputs(case, &golden);
        if inputs.padding.len() > 1 {
            return;
        }
        let expected: Vec<u32> =
            serde_json::from_value::<Vec<Vec<u32>>>(case.expected["generated"].clone()).unwrap().concat();
        assert_eq!(without_cache(&model, &inputs, expected.len()), expected, "{}", case.name);
    }
}

/// Generates greedy tokens with a full forward pass for each.
fn without_cache(model: &Network, prompt: &ModelInputs, count: usize) -> Vec<u32> {
    let mut inputs = prompt.clone();
    let start = inputs.input_ids.len();
    for _ in 0..count {
        let logits = read(model.forward(&inputs, ForwardOptions::default()).unwrap().logits.unwrap()).data;
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a))).unwrap();
        inputs.input_ids.push(best as u32);
    }
    inputs.input_ids[start..].to_vec()
}

fn old_and_new_config_spellings_agree() {
    let read = |checkpoint: &Checkpoint| {
        let path = checkpoint.model().join("config.json");
        serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let legacy: Vec<Checkpoint> = checkpoints()
        .into_iter()
        .filter(|checkpoint| read(checkpoint)["text_config"]["rope_theta"].is_number())
        .collect();
    assert!(!legacy.is_empty(), "no golden checkpoint has the old spelling");
    for checkpoint in legacy {
        let config = ModelConfig::from_directory(&checkpoint.model()).unwrap();
        assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config, "{}", checkpoint.name);
        assert_eq!(config.text.rope.theta(), read(&checkpoint)["text_config"]["rope_theta"].as_f64().unwrap());
    }
}
