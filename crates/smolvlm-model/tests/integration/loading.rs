//! Loading of checkpoints in all supported forms, and errors for the others.

use std::collections::BTreeMap;

use crate::support::*;
use burn::tensor::{DType, Device};
use safetensors::tensor::Dtype;
use smolvlm_checkpoint::{WeightMismatch, Weights, tensor_specs, write_random_weights};
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_model::{Error, SmolVlmModel};

const NORM: &str = "model.text_model.norm.weight";

fn mismatch(result: Result<(SmolVlmModel, smolvlm_model::LoadReport), Error>) -> WeightMismatch {
    match result {
        Err(Error::Checkpoint(smolvlm_checkpoint::Error::WeightMismatch(mismatch))) => *mismatch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tensor_specs_cover_every_module_parameter() {
    let with_biases = ModelConfig {
        text: smolvlm_config::TextConfig { attention_bias: true, mlp_bias: true, ..config().text },
        ..config()
    };
    for config in [config(), tied(), with_biases] {
        let model = SmolVlmModel::init(&config, &Device::flex());
        let found: BTreeMap<String, Vec<usize>> =
            parameters(&model).into_iter().map(|(path, data)| (path, data.shape().to_vec())).collect();
        let table = tensor_specs(&config).into_iter().map(|spec| (spec.module_path, spec.shape)).collect();
        assert_eq!(found, table);
    }
}

#[test]
fn every_parameter_gets_its_stored_values() {
    let stored = checkpoint(&config(), FloatType::F32);
    let (model, report) = load(&config(), &stored).unwrap();
    assert_eq!(report, smolvlm_model::LoadReport::default());
    let parameters = parameters(&model);
    for spec in tensor_specs(&config()) {
        assert_eq!(parameters[&spec.module_path].bytes()[..], stored[&spec.name].bytes, "{}", spec.name);
    }
}

#[test]
fn random_weights_are_the_same_in_memory_and_on_disk() {
    for float in [FloatType::F32, FloatType::Bf16, FloatType::F16] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("random.safetensors");
        write_random_weights(&config(), SEED, float, &path).unwrap();
        let weights = Weights::open(&path).unwrap();
        assert_eq!(weights.float_type(), Some(float));
        let (loaded, _) = SmolVlmModel::load(&config(), &weights, &Device::flex(), float).unwrap();
        assert_eq!(parameters(&loaded), parameters(&model(float)), "{float:?}");
        let other = SmolVlmModel::random(&config(), SEED + 1, &Device::flex(), float).unwrap();
        assert_ne!(parameters(&loaded), parameters(&other));
    }
}

#[test]
fn every_stored_type_loads_as_every_type() {
    let exact = parameters(&model(FloatType::F32));
    for stored in [FloatType::F32, FloatType::Bf16, FloatType::F16] {
        let (_folder, path) = folder(&checkpoint(&config(), stored));
        let weights = Weights::open(path).unwrap();
        for (float, dtype) in
            [(FloatType::F32, DType::F32), (FloatType::Bf16, DType::BF16), (FloatType::F16, DType::F16)]
        {
            let (model, _) = SmolVlmModel::load(&config(), &weights, &Device::flex(), float).unwrap();
            for (path, data) in parameters(&model) {
                assert_eq!(data.dtype(), dtype);
                let values = data.iter::<f32>().zip(exact[&path].iter::<f32>());
                // The coarsest type keeps 8 bits; a value may be rounded twice.
                let worst = values.fold(0_f32, |worst, (a, b)| worst.max((a - b).abs() / (b.abs() + 1e-3)));
                assert!(worst < 1.0 / 128.0, "{stored:?} to {float:?}, {path}: off by {worst}");
            }
        }
    }
}

#[test]
fn model_prefix_of_names_is_optional() {
    let stored = checkpoint(&config(), FloatType::F32);
    let bare =
        stored.iter().map(|(name, tensor)| (name.strip_prefix("model.").unwrap_or(name).to_owned(), tensor.clone()));
    let (model, report) = load(&config(), &bare.collect()).unwrap();
    assert_eq!(parameters(&model), parameters(&self::model(FloatType::F32)));
    assert!(report.unexpected.is_empty());
}

#[test]
fn name_with_and_without_prefix_is_a_duplicate() {
    let mut stored = checkpoint(&config(), FloatType::F32);
    let norm = stored[NORM].clone();
    stored.insert("text_model.norm.weight".to_owned(), norm);
    let error = load(&config(), &stored).unwrap_err();
    assert!(
        matches!(&error, Error::Checkpoint(smolvlm_checkpoint::Error::DuplicateTensor { name, .. }) if name == NORM),
        "{error}"
    );
}

#[test]
fn unexpected_tensors_are_reported_except_rotary_frequencies() {
    let mut stored = checkpoint(&config(), FloatType::F32);
    let extra = Stored { dtype: Dtype::F32, shape: vec![4], bytes: vec![0; 16] };
    let ids = Stored { dtype: Dtype::I64, shape: vec![1, 2], bytes: vec![0; 16] };
    stored.insert("model.text_model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), extra.clone());
    stored.insert("text_model.rotary_emb.inv_freq".to_owned(), extra.clone());
    stored.insert("model.vision_model.embeddings.position_ids".to_owned(), ids);
    stored.insert("zz\u{1b}[2J".to_owned(), extra);
    let (_, report) = load(&config(), &stored).unwrap();
    assert_eq!(report.unexpected, ["model.vision_model.embeddings.position_ids", r"zz\u{1b}[2J"]);
}

#[test]
fn all_mismatches_are_in_one_error() {
    let mut stored = checkpoint(&config(), FloatType::F32);
    stored.remove(NORM);
    let fc1 = "model.vision_model.encoder.layers.1.mlp.fc1.weight";
    stored.get_mut(fc1).unwrap().shape = vec![32, 40];
    let q_proj = stored.remove("model.text_model.layers.0.self_attn.q_proj.weight").unwrap();
    stored.insert("model.language_model.layers.0.self_attn.q_proj.weight".to_owned(), q_proj);
    let error = load(&config(), &stored).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the weights do not fit the configuration: \
         2 missing: model.text_model.layers.0.self_attn.q_proj.weight, model.text_model.norm.weight; \
         1 with a different shape: model.vision_model.encoder.layers.1.mlp.fc1.weight is [32, 40] instead of [40, 32]; \
         1 unexpected: model.language_model.layers.0.self_attn.q_proj.weight"
    );
}

#[test]
fn error_for_another_model_is_short() {
    let stored = BTreeMap::from([(
        "transformer.h.0.weight".to_owned(),
        Stored { dtype: Dtype::F32, shape: vec![1], bytes: vec![0; 4] },
    )]);
    let error = load(&config(), &stored).unwrap_err().to_string();
    let missing = tensor_specs(&config()).len();
    assert!(error.contains(&format!("{missing} missing")), "{error}");
    assert!(error.contains(&format!("and {} more", missing - 10)), "{error}");
    assert!(error.contains("transformer.h.0.weight"), "{error}");
    assert!(error.len() < 1500, "{error}");
}

#[test]
fn unsupported_types_of_needed_tensors_are_errors() {
    for (dtype, size) in [(Dtype::F64, 8), (Dtype::I8, 1), (Dtype::F8_E4M3, 1), (Dtype::BOOL, 1)] {
        let mut stored = checkpoint(&config(), FloatType::F32);
        let norm = stored.get_mut(NORM).unwrap();
        *norm = Stored { dtype, shape: norm.shape.clone(), bytes: vec![0; 48 * size] };
        let error = load(&config(), &stored).unwrap_err();
        assert_eq!(error.to_string(), format!("tensor {NORM} is stored as {dtype}, which this tensor cannot have"));
    }
}

// Tied weights, as observed in transformers 5.23.0.

#[test]
fn untied_without_head_is_an_error_that_names_the_option() {
    let mut stored = checkpoint(&config(), FloatType::F32);
    stored.remove(HEAD);
    let result = load(&config(), &stored);
    let text = result.as_ref().unwrap_err().to_string();
    assert!(text.contains("tie_word_embeddings"), "{text}");
    let mismatch = mismatch(result);
    assert_eq!(mismatch.missing, [HEAD]);
    assert!(mismatch.untied_head_missing);
}

#[test]
fn tied_without_head_uses_the_embeddings() {
    let stored = checkpoint(&tied(), FloatType::F32);
    assert!(!stored.contains_key(HEAD));
    let (model, report) = load(&tied(), &stored).unwrap();
    assert!(model.lm_head.is_none());
    assert!(report.tied && !report.tying_overruled && report.unexpected.is_empty());
}

#[test]
fn tied_with_only_a_head_uses_the_head() {
    let mut stored = checkpoint(&tied(), FloatType::F32);
    let embeddings = stored.remove(EMBEDDINGS).unwrap();
    stored.insert(HEAD.to_owned(), embeddings.clone());
    let (model, report) = load(&tied(), &stored).unwrap();
    assert!(model.lm_head.is_none() && report.tied && report.unexpected.is_empty());
    assert_eq!(parameters(&model)["text.embed_tokens.weight"].bytes()[..], embeddings.bytes);
}

#[test]
fn tied_with_two_equal_matrices_keeps_one() {
    let mut stored = checkpoint(&tied(), FloatType::Bf16);
    stored.insert(HEAD.to_owned(), stored[EMBEDDINGS].clone());
    let (model, report) = load(&tied(), &stored).unwrap();
    assert!(model.lm_head.is_none() && report.tied && report.unexpected.is_empty());
    // Values are compared across types.
    let halves = stored[EMBEDDINGS].bytes.as_chunks::<2>().0;
    let wide = halves.iter().flat_map(|half| [0, 0, half[0], half[1]]).collect();
    stored.insert(HEAD.to_owned(), Stored { dtype: Dtype::F32, bytes: wide, ..stored[EMBEDDINGS].clone() });
    assert!(load(&tied(), &stored).unwrap().1.tied);
}

#[test]
fn tied_with_two_different_matrices_keeps_both() {
    let mut stored = checkpoint(&config(), FloatType::F32);
    let (model, report) = load(&tied(), &stored).unwrap();
    assert!(!report.tied && report.tying_overruled);
    assert_eq!(parameters(&model), parameters(&self::model(FloatType::F32)));
    // A single different value is enough.
    stored.insert(HEAD.to_owned(), stored[EMBEDDINGS].clone());
    *stored.get_mut(HEAD).unwrap().bytes.last_mut().unwrap() ^= 0x10;
    assert!(load(&tied(), &stored).unwrap().1.tying_overruled);
}

#[test]
fn tied_without_either_is_an_error() {
    let mut stored = checkpoint(&tied(), FloatType::F32);
    stored.remove(EMBEDDINGS);
    let mismatch = mismatch(load(&tied(), &stored));
    assert_eq!(mismatch.missing, [EMBEDDINGS]);
    assert!(!mismatch.untied_head_missing);
}

#[test]
fn invalid_configuration_is_an_error_before_weights_are_read() {
    let mut config = config();
    config.text.num_key_value_heads = 5;
    let error = load(&config, &BTreeMap::new()).unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error}");
    let error = SmolVlmModel::random(&config, SEED, &Device::flex(), FloatType::F32).unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error}");
}
