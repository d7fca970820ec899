//! How much memory loading takes. A file of its own: the peak is that of the whole process.
#![cfg(target_os = "linux")]

mod support;

use burn::tensor::Device;
use smolvlm_config::{FloatType, ModelConfig, Preset};
use smolvlm_model::{SmolVlmModel, TensorSpec, Weights, tensor_specs, write_random_checkpoint};
use support::SEED;

/// A field of `/proc/self/status`, in bytes.
fn status(field: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Lets the peak start again from what is resident now.
fn forget_peak() -> usize {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    status("VmRSS")
}

/// Room for threads, names, page tables of the process and the like.
const SLACK: usize = 16 << 20;

/// One test, so that nothing else runs meanwhile: loading holds the model and one stored tensor, writing one tensor.
#[test]
fn memory_is_the_model_and_one_tensor() {
    let tiny = Preset::Tiny.model();
    let text = smolvlm_config::TextConfig { hidden_size: 512, intermediate_size: 1024, head_dim: 128, ..tiny.text };
    let config = ModelConfig { text, ..tiny };
    let specs = tensor_specs(&config);
    let values: usize = specs.iter().map(TensorSpec::elements).sum();
    let largest = specs.iter().map(TensorSpec::elements).max().unwrap();
    // Large enough to tell a copy of the largest tensor from the slack.
    assert!(largest * 2 > 2 * SLACK, "{largest}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let before = forget_peak();
    write_random_checkpoint(&config, SEED, FloatType::Bf16, &path).unwrap();
    let taken = status("VmHWM").saturating_sub(before);
    // The values, and their bytes.
    assert!(taken < 4 * largest + SLACK, "writing took {taken} bytes, the largest tensor has {largest} values");

    for float in [FloatType::F32, FloatType::Bf16] {
        let before = forget_peak();
        let weights = Weights::open(&path).unwrap();
        let (model, _) = SmolVlmModel::load(&config, &weights, &Device::flex(), float).unwrap();
        let taken = status("VmHWM").saturating_sub(before);
        let allowed = values * float.bytes() + 2 * largest;
        assert!(taken < allowed + SLACK, "{float:?}: loading took {taken} bytes, allowed are {allowed}");
        let kept = status("VmRSS").saturating_sub(before);
        assert!(kept < values * float.bytes() + SLACK, "{float:?}: {kept} bytes stay for {values} values");
        drop((model, weights));
    }
}
