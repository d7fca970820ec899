//! GGUF files: header, configuration, vocabulary, tokenizer, and values of every tensor. The input is a text model, and
//! an `mmproj` file for a valid text model.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_checkpoint::{CheckpointTensors, GgufModel, GgufTokenKind, TensorSource, tensor_specs};
use smolvlm_config::FloatType;
use smolvlm_processor::{ByteLevelVocabulary, TokenRole};

const TEXT: &[u8] = include_bytes!("../seeds/gguf/text.gguf");

fuzz_target!(|bytes: &[u8]| {
    read(GgufModel::from_bytes(bytes.to_vec(), None::<Vec<u8>>));
    read(GgufModel::from_bytes(TEXT, Some(bytes.to_vec())));
});

fn read(model: Result<GgufModel, smolvlm_checkpoint::Error>) {
    let model = match model {
        Ok(model) => model,
        Err(error) => return check(&error),
    };
    let vocabulary = model.vocabulary();
    if let Ok(vocabulary) = vocabulary {
        let role = |kind| match kind {
            GgufTokenKind::Control => TokenRole::Special,
            GgufTokenKind::UserDefined => TokenRole::Added,
            GgufTokenKind::Normal => TokenRole::Normal,
        };
        let tokens = vocabulary.tokens.into_iter().map(|(token, kind)| (token, role(kind))).collect();
        let _ = ByteLevelVocabulary { tokens, merges: vocabulary.merges }.tokenizer();
    }
    let _ = model.processor_config();
    let config = match model.config() {
        Ok(config) => config,
        Err(error) => return check(&error),
    };
    let Ok(weights) = model.into_weights() else { return };
    let _ = (weights.float_type(), weights.quantized());
    let Ok(tensors) = CheckpointTensors::new(&config, &weights) else { return };
    for spec in tensor_specs(&config) {
        let _ = tensors.tensor(&spec.module_path, &spec.shape, FloatType::F32);
    }
}

/// Messages are one short line.
fn check(error: &smolvlm_checkpoint::Error) {
    let message = error.to_string();
    assert!(message.len() < 2_000 && !message.contains('\n'), "{message:?}");
}
