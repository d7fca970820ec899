//! Memory use of loading. This is a separate test binary because the peak is that of the whole process.
#![cfg(target_os = "linux")]

use burn::tensor::Device;
use smolvlm_checkpoint::{TensorSpec, Weights, tensor_specs, write_random_weights};
use smolvlm_config::{FloatType, ModelConfig, Preset};
use smolvlm_model::SmolVlmModel;

/// A field of `/proc/self/status`, in bytes.
fn status(field: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Resets the peak to the current resident memory and returns that.
fn reset_peak() -> usize {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    status("VmRSS")
}

/// Allowance for threads, names, page tables and other overhead of the process.
const SLACK: usize = 16 << 20;

/// Loading holds the model and one stored tensor, writing one tensor. A single test, so that nothing else runs at the
/// same time.
#[test]
fn memory_is_the_model_and_one_tensor() {
    let tiny = Preset::Tiny.model();
    let text = smolvlm_config::TextConfig { hidden_size: 512, intermediate_size: 1024, head_dim: 128, ..tiny.text };
    let config = ModelConfig { text, ..tiny };
    let specs = tensor_specs(&config);
    let values: usize = specs.iter().map(TensorSpec::elements).sum();
    let largest = specs.iter().map(TensorSpec::elements).max().unwrap();
    // The largest tensor must be large enough to distinguish a copy of it from the slack.
    assert!(largest * 2 > 2 * SLACK, "{largest}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let before = reset_peak();
    write_random_weights(&config, 7, FloatType::Bf16, &path).unwrap();
    let taken = status("VmHWM").saturating_sub(before);
    // The values, and their bytes.
    assert!(taken < 4 * largest + SLACK, "writing took {taken} bytes, the largest tensor has {largest} values");

    for float in [FloatType::F32, FloatType::Bf16] {
        let before = reset_peak();
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
