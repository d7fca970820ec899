//! The complete SmolVLM model on Burn: weights, adapters, forward pass.
//!
//! [`SmolVlmModel`] combines vision encoder, connector and text model. [`Weights`] opens the files of a checkpoint, and
//! [`SmolVlmModel::load`] reads them tensor by tensor. A custom generation loop starts like this:
//!
//! ```
//! use burn::tensor::Device;
//! use smolvlm_config::{FloatType, Preset};
//! use smolvlm_model::{ForwardOptions, ModelInputs, SmolVlmModel};
//!
//! let config = Preset::Tiny.model();
//! let model = SmolVlmModel::random(&config, 0, &Device::flex(), FloatType::F32)?;
//! let inputs = ModelInputs::text(&[1, 11126, 42]);
//! let mut cache = model.new_cache(&inputs.padding, 8);
//! let output = model.forward(&inputs, &mut cache, ForwardOptions::default())?;
//! assert_eq!(output.logits.dims(), [1, 1, config.text.vocab_size]);
//! let logits = model.decode(&[7], &mut cache)?;
//! assert_eq!(logits.len(), config.text.vocab_size);
//! # Ok::<(), smolvlm_model::Error>(())
//! ```

mod adapter;
mod convert;
mod encoding;
mod error;
mod file;
mod format;
mod forward;
#[cfg(feature = "cubecl")]
mod gpu;
mod header;
mod host;
mod images;
mod merge;
mod model;
#[cfg(feature = "flex")]
mod packed;
mod parameter_loader;
mod parameter_path;
#[cfg(feature = "flex")]
mod quantize;
mod random;
mod resolve;
mod save;
mod shards;
mod stored;
mod weights;

pub use adapter::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, LoraLayer, PEFT_PREFIX, PeftAdapter, PeftConfig};
pub use error::{Error, ShapeMismatch, WeightMismatch};
pub use format::{WeightFormat, vision_format};
pub use forward::{ForwardOptions, KeepLogits, ModelInputs, ModelOutput};
pub use host::HostTensor;
pub use images::{ImageFeatures, PaddedTiles};
pub use model::{LoadReport, SmolVlmModel};
pub use parameter_path::ParameterPath;
#[cfg(feature = "flex")]
pub use quantize::{QuantizedSource, write_quantized_checkpoint};
pub use random::write_random_checkpoint;
pub use smolvlm_kernels::Format;
pub use smolvlm_text::KvCache;
pub use stored::Weights;
pub use weights::{TensorKind, TensorSpec, tensor_specs};
