//! The files of SmolVLM checkpoints, without a tensor library: reading, quantizing and writing.
//!
//! [`Weights`] opens safetensors files, memory-mapped and with validated headers. [`tensor_specs`] is the table of a
//! model's tensors, [`CheckpointTensors`] finds and decodes them for a configuration. [`PeftAdapter`] reads LoRA
//! adapters, which [`Weights`] merges while reading. [`write_quantized_checkpoint`] writes 8-bit and 4-bit weights.
//!
//! ```
//! use smolvlm_checkpoint::{TensorSource, CheckpointTensors, Weights, tensor_specs, write_random_checkpoint};
//! use smolvlm_config::{FloatType, Preset};
//!
//! let config = Preset::Tiny.model();
//! let folder = tempfile::tempdir()?;
//! write_random_checkpoint(&config, 0, FloatType::Bf16, folder.path().join("model.safetensors"))?;
//! let weights = Weights::open(folder.path())?;
//! let tensors = CheckpointTensors::new(&config, &weights)?;
//! let norm = tensors.tensor("text.norm.weight", &[config.text.hidden_size], FloatType::F32)?;
//! assert_eq!(norm.float_type(), FloatType::F32);
//! assert_eq!(weights.names().count(), tensor_specs(&config).len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adapter;
mod encoding;
mod error;
mod file;
mod header;
mod plan;
mod quantize;
mod random;
mod shards;
mod tensor_specs;
mod tensors;
mod values;
mod weights;

pub use adapter::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, LoraLayer, PEFT_PREFIX, PeftAdapter, PeftConfig};
pub use error::{Error, ShapeMismatch, WeightMismatch};
pub use file::{NamedTensor, write_checkpoint};
pub use quantize::{QuantizedSource, vision_format, write_quantized_checkpoint};
pub use random::{RandomTensors, write_random_checkpoint};
pub use smolvlm_kernels::Format;
pub use tensor_specs::{EMBEDDINGS_PATH, LM_HEAD, TensorKind, TensorSpec, lm_head_spec, tensor_specs};
pub use tensors::{CheckpointTensors, RowSource, TensorSource};
pub use values::Values;
pub use weights::Weights;
