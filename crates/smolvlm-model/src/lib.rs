//! The complete SmolVLM model on Burn: loading, forward pass, saving.
//!
//! [`SmolVlmModel`] combines vision encoder, connector and text model. [`SmolVlmModel::load`] reads
//! the files that [`Weights`](smolvlm_checkpoint::Weights) has opened tensor by tensor. A custom generation loop starts
//! like this:
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

mod error;
mod format;
mod forward;
#[cfg(feature = "cubecl")]
mod gpu;
mod host;
mod images;
mod merge;
mod model;
#[cfg(feature = "flex")]
mod packed;
mod parameter_loader;
mod parameter_path;
mod save;

pub use error::Error;
pub use format::WeightFormat;
pub use forward::{ForwardOptions, KeepLogits, ModelInputs, ModelOutput};
pub use host::HostTensor;
pub use images::{ImageFeatures, PaddedTiles};
pub use model::{LoadReport, SmolVlmModel};
pub use parameter_path::ParameterPath;
pub use smolvlm_kernels::Format;
pub use smolvlm_text::KvCache;
