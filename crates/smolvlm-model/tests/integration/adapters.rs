//! Adapter files: merged values, and errors for files that are damaged or for another model.

use crate::support::*;
use burn::tensor::Device;
use safetensors::tensor::Dtype;
use smolvlm_checkpoint::{Error as CheckpointError, PeftAdapter, WeightSource, Weights, write_quantized_weights};
use smolvlm_config::FloatType;
use smolvlm_kernels::PackedFormat;
use smolvlm_model::{Error, SmolVlmModel};
use std::path::Path;

const PREFIX: &str = "base_model.model.";
const CONFIG: &str = r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 3}"#;
const QUERY: &str = "model.text_model.layers.0.self_attn.q_proj";

fn floats(shape: &[usize], seed: u64) -> Stored {
    let mut numbers = Numbers(seed + 1);
    let bytes = numbers.pixels(shape.iter().product()).into_iter().flat_map(f32::to_le_bytes).collect();
    Stored { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
}

/// A module's two matrices.
fn matrices(module: &str, [outputs, inputs]: [usize; 2], rank: usize) -> [(String, Stored); 2] {
    [
        (format!("{PREFIX}{module}.lora_A.weight"), floats(&[rank, inputs], inputs as u64)),
        (format!("{PREFIX}{module}.lora_B.weight"), floats(&[outputs, rank], outputs as u64)),
    ]
}

fn plain() -> Checkpoint {
    matrices(QUERY, [48, 48], 2).into()
}

fn folder_of(config: &str, tensors: &Checkpoint) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("adapter_config.json"), config).unwrap();
    write(tensors, &folder.path().join("adapter_model.safetensors"));
    folder
}

fn merged(base: &Path, config: &str, tensors: &Checkpoint, weight: f32) -> Result<SmolVlmModel, Error> {
    let folder = folder_of(config, tensors);
    let weights = Weights::open(base)?.with_adapters(&self::config(), [(PeftAdapter::open(folder.path())?, weight)])?;
    Ok(SmolVlmModel::load(&self::config(), &weights, &Device::flex(), FloatType::F32)?.0)
}

fn values(stored: &Stored) -> Vec<f64> {
    stored.bytes.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
}

#[test]
fn product_is_added_only_to_its_layer() {
    let stored = checkpoint(&config(), FloatType::F32);
    let (_folder, base) = folder(&stored);
    let before = parameters(&load(&config(), &stored).unwrap().0);
    for (stored_as, weight) in [("", 1.0), (".default", -0.25)] {
        let adapter = plain();
        let [down, up] = ["A", "B"].map(|kind| values(&adapter[&format!("{PREFIX}{QUERY}.lora_{kind}.weight")]));
        let renamed = adapter
            .iter()
            .map(|(name, tensor)| (name.replace(".weight", &format!("{stored_as}.weight")), tensor.clone()));
        let after = parameters(&merged(&base, CONFIG, &renamed.collect(), weight).unwrap());
        for (path, data) in &after {
            if path != "text.layers.0.self_attn.q_proj.weight" {
                assert_eq!(data, &before[path], "{path}");
                continue;
            }
            let found = data.iter::<f32>().zip(before[path].iter::<f32>()).enumerate();
            for (at, (found, before)) in found {
                let (row, column) = (at / 48, at % 48);
                let sum: f64 = (0..2).map(|rank| up[row * 2 + rank] * down[rank * 48 + column]).sum();
                let wanted = f64::from(before) + sum * 1.5 * f64::from(weight);
                assert!((f64::from(found) - wanted).abs() < 1e-6, "{path} {at}: {found} instead of {wanted}");
            }
        }
    }
}

#[test]
fn adapters_merge_into_quantized_checkpoints() {
    let (_folder, base) = folder(&checkpoint(&config(), FloatType::F32));
    for format in [PackedFormat::Q8, PackedFormat::Q4] {
        let quantized = tempfile::tempdir().unwrap();
        let path = quantized.path().join("model.safetensors");
        let weights = Weights::open(&base).unwrap();
        write_quantized_weights(&config(), &WeightSource::Weights(&weights), format, &path).unwrap();
        let weights = Weights::open(&path).unwrap();
        let plain_model = SmolVlmModel::load(&config(), &weights, &Device::flex(), FloatType::F32).unwrap().0;
        let mut adapter = plain();
        let head = floats(&[96, 48], 7);
        adapter.insert(format!("{PREFIX}{HEAD}"), head.clone());
        let found = merged(&path, CONFIG, &adapter, 1.0).unwrap();
        let (before, after) = (parameters(&plain_model), parameters(&found));
        assert_eq!(after[HEAD].bytes()[..], head.bytes);
        assert_ne!(after["text.layers.0.self_attn.q_proj.weight"], before["text.layers.0.self_attn.q_proj.weight"]);
        assert_eq!(after["text.layers.0.self_attn.k_proj.weight"], before["text.layers.0.self_attn.k_proj.weight"]);
    }
}

fn merge_error(config: &str, tensors: &Checkpoint) -> String {
    let (_folder, base) = folder(&checkpoint(&self::config(), FloatType::F32));
    let error = merged(&base, config, tensors, 1.0).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Adapter { .. })), "{error}");
    error.to_string()
}

#[test]
fn mismatched_tensors_are_errors() {
    let with = |name: &str, tensor: Stored| {
        let mut tensors = plain();
        tensors.insert(name.to_owned(), tensor);
        tensors
    };
    let without = |end: &str| plain().into_iter().filter(|(name, _)| !name.ends_with(end)).collect::<Checkpoint>();
    let nan = Stored { bytes: f32::NAN.to_le_bytes().repeat(96), ..floats(&[2, 48], 0) };
    let down = format!("{PREFIX}{QUERY}.lora_A.weight");
    for (tensors, says) in [
        (without("lora_A.weight"), "missing"),
        (without("lora_B.weight"), "missing"),
        (Checkpoint::new(), "no tensors"),
        (with(&down, nan), "not finite"),
        (with(&down, floats(&[3, 48], 0)), "do not fit"),
        (with(&down, floats(&[2, 48, 1], 0)), "do not fit"),
        (with(&down, floats(&[96], 0)), "do not fit"),
        (with(&down, floats(&[2, 47], 0)), "another model"),
        (with(&down, Stored { dtype: Dtype::I32, ..floats(&[2, 48], 0) }), "I32"),
        (with("model.text_model.norm.weight", floats(&[48], 0)), "does not start"),
        (with(&format!("{PREFIX}model.text_model.norms.weight"), floats(&[48], 0)), "another model"),
        (with(&format!("{PREFIX}model.text_model.norm.weight"), floats(&[47], 0)), "another model"),
        (with(&format!("{PREFIX}{QUERY}.lora_magnitude_vector"), floats(&[48], 0)), "plain LoRA"),
        (with(&format!("{PREFIX}{QUERY}.lora_A.default.weight"), floats(&[2, 48], 0)), "stored twice"),
        (with(&format!("{PREFIX}{QUERY}.lora_embedding_A"), floats(&[2, 48], 0)), "missing"),
        (with(&format!("{PREFIX}{QUERY}.lora_B.bias"), floats(&[47], 0)), "instead of [48]"),
        // The layer has no bias to update.
        (with(&format!("{PREFIX}{QUERY}.lora_B.bias"), floats(&[48], 0)), "no bias"),
        (
            with(
                &format!("{PREFIX}model.text_model.embed_tokens.token_adapter.trainable_tokens_delta"),
                floats(&[1, 48], 0),
            ),
            "plain LoRA",
        ),
        (matrices("model.text_model.layers.9.self_attn.q_proj", [48, 48], 2).into(), "another model"),
        (matrices("model.text_model.norm", [48, 48], 2).into(), "another model"),
        (matrices("model.text_model.embed_tokens", [96, 48], 2).into(), "another model"),
        (matrices(QUERY, [48, 48], 3).into(), "rank 3"),
    ] {
        let message = merge_error(CONFIG, &tensors);
        assert!(message.contains(says), "{message} instead of {says}");
    }
    let named = merge_error(r#"{"peft_type": "LORA", "r": 2, "modules_to_save": ["text_model.norm"]}"#, &plain());
    assert!(named.contains("text_model.norm"), "{named}");
}

#[test]
fn damaged_and_missing_files_are_errors() {
    let folder = folder_of(CONFIG, &plain());
    let path = folder.path().join("adapter_model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..length]).unwrap();
        PeftAdapter::open(folder.path()).unwrap_err();
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(PeftAdapter::open(folder.path()), Err(CheckpointError::Io { .. })));
    std::fs::write(folder.path().join("adapter_model.bin"), "").unwrap();
    assert!(PeftAdapter::open(folder.path()).unwrap_err().to_string().contains("safetensors"));
}
