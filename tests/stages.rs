//! Every stage of the model against the reference, each fed with the reference's own input to that stage.

use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use smolvlm::config::{FloatType, ModelConfig};
use smolvlm::model::{ForwardOptions, HostTensor, KeepLogits, ModelInputs, SmolVlmModel, Weights};
use smolvlm_tests::{Case, Checkpoint, checkpoints};

/// In f32, no value of a stage is further from the reference than this, relative to the largest value of the stage. Sums
/// are taken in another order than in torch, and errors grow through the layers; measured are 2e-6 at most.
const TOLERANCE: f32 = 1e-5;
/// In bf16, with 8 bits of mantissa through every layer: logits as close as the reference's own bf16 and f32 runs are.
const BF16_COSINE: f64 = 0.999;
/// And no logit further off than this, relative to the root mean square of all; the reference's own two runs differ by
/// 0.058 at most.
const BF16_LARGEST: f64 = 0.1;

struct Golden {
    bytes: Vec<u8>,
    name: String,
}

impl Golden {
    fn new(case: &Case) -> Self {
        Self { bytes: std::fs::read(&case.tensors).unwrap(), name: case.name.clone() }
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.file().names().contains(&name)
    }

    fn floats(&self, name: &str) -> HostTensor {
        let file = self.file();
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Dtype::F32, "{name}");
        let data = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        HostTensor { shape: view.shape().to_vec(), data }
    }

    fn integers(&self, name: &str) -> Vec<usize> {
        let file = self.file();
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Dtype::I64, "{name}");
        view.data().as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as usize).collect()
    }

    fn levels(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let file = self.file();
        let view = file.tensor(name).unwrap();
        (view.shape().to_vec(), view.data().to_vec())
    }

    /// Compares a stage with its golden; the error is relative to the golden's largest value.
    fn assert_close(&self, stage: &str, found: &HostTensor) {
        let wanted = self.floats(stage);
        assert_eq!(found.shape, wanted.shape, "{} {stage}", self.name);
        let largest = wanted.data.iter().fold(0f32, |most, value| most.max(value.abs()));
        let worst = found.data.iter().zip(&wanted.data).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        // With --no-capture this is the table of docs/parity.md.
        println!("{stage} {:.1e} {}", worst / largest, self.name);
        assert!(worst <= TOLERANCE * largest, "{} {stage}: off by {worst}, largest value {largest}", self.name);
    }
}

fn load(checkpoint: &Checkpoint, float: FloatType) -> SmolVlmModel {
    let config = ModelConfig::from_directory(&checkpoint.model()).unwrap();
    let weights = Weights::open(checkpoint.model()).unwrap();
    let (model, report) = SmolVlmModel::load(&config, &weights, &Device::flex(), float).unwrap();
    // Old exports hold a buffer that no model needs any more.
    let needless = |name: &String| name.ends_with("embeddings.position_ids");
    assert!(report.unexpected.iter().all(needless), "{}: {:?}", checkpoint.name, report.unexpected);
    model
}

fn read<const D: usize>(tensor: Tensor<D>) -> HostTensor {
    HostTensor::read(tensor).unwrap()
}

/// Rows of the last axis, by flat index of the axes before it.
fn rows(tensor: HostTensor, indices: &[usize]) -> HostTensor {
    let width = *tensor.shape.last().unwrap();
    let data = indices.iter().flat_map(|index| tensor.data[index * width..][..width].to_vec()).collect();
    HostTensor { shape: vec![indices.len(), width], data }
}

#[test]
fn vision_encoder_and_connector() {
    for checkpoint in checkpoints() {
        let model = load(&checkpoint, FloatType::F32);
        for case in checkpoint.all_cases() {
            let golden = Golden::new(&case);
            let (shape, levels) = golden.levels("pixels");
            if levels.is_empty() {
                continue;
            }
            let pixels: Vec<f32> = levels.iter().map(|&level| (f32::from(level) - 127.5) / 127.5).collect();
            let seen = model.image_features(&[&pixels], shape[3], 1, true).unwrap().unwrap();
            let state = |index: usize| read(seen.vision_hidden_states[index].clone());
            golden.assert_close("vision_embeddings", &state(0));
            golden.assert_close("vision_layer_0", &state(1));
            golden.assert_close("vision_last_hidden_state", &state(seen.vision_hidden_states.len() - 1));

            // The golden has the features of all tiles; ours are those of the chosen ones.
            let all = golden.floats("connector_out");
            let (tokens, width) = (all.shape[1], all.shape[2]);
            let chosen = golden.integers("vision_tiles");
            let wanted: Vec<usize> =
                chosen.iter().flat_map(|tile| (0..tokens).map(move |i| tile * tokens + i)).collect();
            let wanted = rows(HostTensor { shape: vec![all.shape[0] * tokens, width], data: all.data }, &wanted);
            let found = read(seen.features);
            assert_eq!(found.shape, wanted.shape, "{}", case.name);
            let largest = wanted.data.iter().fold(0f32, |most, value| most.max(value.abs()));
            for (a, b) in found.data.iter().zip(&wanted.data) {
                assert!((a - b).abs() <= TOLERANCE * largest, "{} connector_out: {a} instead of {b}", case.name);
            }
        }
    }
}

/// The reference's prompt and its image features, as our model takes them.
fn inputs(case: &Case, golden: &Golden, model: &SmolVlmModel) -> ModelInputs {
    let grid = |key: &str| -> Vec<Vec<u32>> { serde_json::from_value(case.expected[key].clone()).unwrap() };
    let zeros = |row: &Vec<u32>| row.iter().filter(|&&bit| bit == 0).count();
    let features = golden.has("connector_out").then(|| {
        let wanted = golden.floats("connector_out");
        let shape = [wanted.shape[0] * wanted.shape[1], wanted.shape[2]];
        let dtype = model.text.norm.weight.val().dtype();
        Tensor::<2>::from_data(TensorData::new(wanted.data, shape), (&Device::flex(), DType::F32)).cast(dtype)
    });
    ModelInputs {
        input_ids: grid("input_ids").concat(),
        padding: grid("attention_mask").iter().map(zeros).collect(),
        features,
    }
}

#[test]
fn text_model_and_logits() {
    for checkpoint in checkpoints() {
        let model = load(&checkpoint, FloatType::F32);
        for case in checkpoint.all_cases() {
            let golden = Golden::new(&case);
            let inputs = inputs(&case, &golden, &model);
            let mut cache = model.new_cache(&inputs.padding, inputs.len());
            let positions: Vec<usize> = (0..inputs.padding.len())
                .flat_map(|row| (0..inputs.len()).map(move |index| (row, index)))
                .map(|(row, index)| cache.position(row, index))
                .collect();
            assert_eq!(positions, golden.integers("position_ids"), "{}", case.name);

            let options = ForwardOptions { logits: KeepLogits::All, hidden_states: true };
            let output = model.forward(&inputs, &mut cache, options).unwrap();
            let chosen = golden.integers("positions");
            let state = |index: usize| rows(read(output.hidden_states[index].clone()), &chosen);
            golden.assert_close("inputs_embeds", &state(0));
            golden.assert_close("text_layer_0", &state(1));
            golden.assert_close("text_norm_out", &state(output.hidden_states.len() - 1));
            golden.assert_close("logits", &rows(read(output.logits), &golden.integers("logit_positions")));
        }
    }
}

#[test]
fn half_precision_logits() {
    let mut compared = 0;
    for checkpoint in checkpoints() {
        let cases: Vec<Case> =
            checkpoint.all_cases().into_iter().filter(|case| Golden::new(case).has("logits_bf16")).collect();
        if cases.is_empty() {
            continue;
        }
        let model = load(&checkpoint, FloatType::Bf16);
        for case in &cases {
            let golden = Golden::new(case);
            let inputs = inputs(case, &golden, &model);
            let mut cache = model.new_cache(&inputs.padding, inputs.len());
            let options = ForwardOptions { logits: KeepLogits::All, hidden_states: false };
            let logits = read(model.forward(&inputs, &mut cache, options).unwrap().logits);
            let found = rows(logits, &golden.integers("logit_positions")).data;
            for stage in ["logits_bf16", "logits"] {
                let wanted = golden.floats(stage).data;
                let dot =
                    |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                let cosine = dot(&found, &wanted) / (dot(&found, &found) * dot(&wanted, &wanted)).sqrt();
                println!("{stage} in bf16: cosine {cosine:.6} {}", case.name);
                assert!(cosine > BF16_COSINE, "{} {stage}: cosine {cosine}", case.name);
                let worst = found.iter().zip(&wanted).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
                let size = (dot(&wanted, &wanted) / wanted.len() as f64).sqrt();
                assert!(f64::from(worst) <= BF16_LARGEST * size, "{} {stage}: off by {worst}, size {size}", case.name);
            }
            compared += 1;
        }
    }
    assert!(compared > 0, "no golden has bf16 logits");
}

#[test]
fn every_way_to_fill_the_cache_gives_the_same_tokens() {
    for checkpoint in checkpoints() {
        let model = load(&checkpoint, FloatType::F32);
        for case in checkpoint.all_cases() {
            let golden = Golden::new(&case);
            let inputs = inputs(&case, &golden, &model);
            if inputs.padding.len() > 1 {
                continue;
            }
            let expected: Vec<u32> =
                serde_json::from_value::<Vec<Vec<u32>>>(case.expected["generated"].clone()).unwrap().concat();
            assert_eq!(without_cache(&model, &inputs, expected.len()), expected, "{}", case.name);
        }
    }
}

/// Greedy tokens with a fresh pass over the whole text for each.
fn without_cache(model: &SmolVlmModel, prompt: &ModelInputs, count: usize) -> Vec<u32> {
    let mut inputs = prompt.clone();
    let start = inputs.input_ids.len();
    for _ in 0..count {
        let mut cache = model.new_cache(&inputs.padding, inputs.len());
        let logits = model.prefill(&inputs, &mut cache).unwrap();
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a))).unwrap();
        inputs.input_ids.push(best as u32);
    }
    inputs.input_ids[start..].to_vec()
}

#[test]
fn old_and_new_spelling_of_a_configuration_agree() {
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
