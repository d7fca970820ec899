//! Weight files: the header, and values of every tensor in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_checkpoint::{CheckpointTensors, TensorSource, Weights, tensor_specs};
use smolvlm_config::{FloatType, ModelConfig, Preset};
use std::sync::LazyLock;

static CONFIG: LazyLock<ModelConfig> = LazyLock::new(|| Preset::Tiny.model());

fuzz_target!(|bytes: &[u8]| {
    let Ok(weights) = Weights::from_bytes(bytes.to_vec()) else { return };
    let stored: usize = weights.names().filter_map(|name| weights.shape(name)).map(|shape| shape.len()).sum();
    assert!(stored <= bytes.len());
    let _ = (weights.float_type(), weights.quantized());
    let Ok(tensors) = CheckpointTensors::new(&CONFIG, &weights) else { return };
    for spec in tensor_specs(&CONFIG) {
        let _ = tensors.tensor(&spec.module_path, &spec.shape, FloatType::F32);
    }
});
