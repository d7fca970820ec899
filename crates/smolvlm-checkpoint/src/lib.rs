#![doc = include_str!("../README.md")]

mod adapter;
mod cancellable;
mod digest;
mod encoding;
mod error;
mod file;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gguf;
mod header;
mod plan;
mod quantize;
mod random;
mod shards;
mod tensor_specs;
mod tensors;
mod values;
mod weight_source;
mod weights;

pub use adapter::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, LoraLayer, PEFT_PREFIX, PeftAdapter, PeftConfig};
pub use cancellable::CancellableTensors;
pub use error::{Error, ShapeMismatch, WeightMismatch};
pub use file::{NamedTensor, write_checkpoint};
pub use gguf::{GGUF_MAGIC, GgmlType, GgufExport, GgufKind, GgufModel, GgufTokenKind, GgufVocabulary};
pub use quantize::{head_format, vision_format, write_quantized_weights};
pub use random::{RandomTensors, write_random_weights};
pub use smolvlm_kernels::PackedFormat;
pub use tensor_specs::{EMBEDDINGS_PATH, LM_HEAD, TensorKind, TensorSpec, lm_head_spec, tensor_specs};
pub use tensors::{CheckpointTensors, RowSource, TensorSource};
pub use values::Values;
pub use weight_source::WeightSource;
pub use weights::Weights;
