//! The complete SmolVLM model, on packed weights or on Burn tensors: loading, forward passes, sequences, saving.
//!
//! [`Network`] is a loaded model: a [`PackedModel`] on the CPU kernels, or a [`SmolVlmModel`] of Burn tensors, which
//! can also be trained. [`Network::load`] reads, tensor by tensor, the files that
//! [`Weights`](smolvlm_checkpoint::Weights) has opened. A custom generation loop starts like this:
//!
//! ```
//! use burn::tensor::Device;
//! use smolvlm_config::{FloatType, Preset};
//! use smolvlm_model::{Network, StepInput};
//!
//! let config = Preset::Tiny.model();
//! let network = Network::random(&config, 0, &Device::flex(), FloatType::F32)?;
//! let mut sequences = network.new_sequences(64);
//! let sequence = sequences.add();
//! let logits = network.step(&mut sequences, &[StepInput::text(sequence, &[1, 11126, 42])])?;
//! assert_eq!(logits.len(), config.text.vocab_size);
//! let logits = network.step(&mut sequences, &[StepInput::generated(sequence, &[7])])?;
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
mod inputs;
mod merge;
mod model;
mod network;
#[cfg(feature = "flex")]
mod packed;
mod parameter_loader;
mod parameter_path;
mod save;
mod sequences;

pub use error::Error;
pub use format::{WeightFormat, dtype};
pub use forward::{ForwardOptions, KeepLogits, ModelOutput};
pub use host::HostTensor;
pub use images::{ImageFeatures, PaddedTiles};
pub use inputs::ModelInputs;
pub use model::{LoadReport, SmolVlmModel};
pub use network::Network;
#[cfg(feature = "flex")]
pub use packed::PackedModel;
pub use parameter_path::ParameterPath;
pub use sequences::{SequenceId, Sequences, StepInput, TokenKey};
pub use smolvlm_kernels::{PackedFormat, TopTokens};
pub use smolvlm_text::KvCache;
pub use smolvlm_vision::TileEncoding;
