//! Weights of document models, SmolDocling and granite-docling: all are found, and none are left.

use smolvlm_checkpoint::{CheckpointTensors, LM_HEAD, Weights};
use smolvlm_config::ModelConfig;
use std::path::Path;

#[test]
fn weights_of_document_models_are_complete() {
    for (name, tied) in [("smoldocling", false), ("granite-docling", true)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name).join("model");
        let config = ModelConfig::from_directory(&folder).unwrap();
        let weights = Weights::open(&folder).unwrap();
        let tensors = CheckpointTensors::new(&config, &weights).unwrap();
        assert_eq!(tensors.tied(), tied, "{name}");
        assert_eq!(tensors.unexpected(), [] as [String; 0], "{name}");
        assert_eq!(weights.shape(LM_HEAD).is_none(), tied, "{name}");
    }
}
