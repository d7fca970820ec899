//! Tensor operations of SmolVLM for every Burn backend.
//!
//! All operations run on the device of their tensors, in f32, bf16 or f16. Norms, softmax and rotary angles are
//! computed in f32 whatever the data type of the tensors, and rounded where transformers 5.24.0 rounds. Weights keep
//! the layout in which checkpoints store them.
//!
//! This is also the only crate of the workspace that may contain `unsafe` code: see [`MappedFile`], `cpu` and
//! [`PeakRates`], which measures the machine's peak rates.

mod activation;
mod attention;
#[cfg(feature = "flex")]
pub mod cpu;
mod cross_entropy;
#[cfg(feature = "flex")]
mod elementwise;
mod embedding;
mod exp;
mod format;
#[cfg(feature = "cubecl")]
#[allow(unsafe_code, reason = "kernel launches state the lengths of their buffers, which only their callers know")]
pub mod gpu;
#[cfg(feature = "autodiff")]
mod grad;
mod linear;
mod mapped_file;
mod norm;
mod peak_rates;
mod rotary;
mod weight;

pub use activation::Activation;
pub use attention::{AttentionMask, attention};
pub use cross_entropy::cross_entropy;
pub use embedding::{Embedding, gather_rows};
pub use format::{Format, GROUP};
pub use linear::{Adapter, Linear};
#[cfg(feature = "flex")]
pub use linear::{gated_linears, linears, packed_format};
pub use mapped_file::MappedFile;
pub use norm::{LayerNorm, RmsNorm};
pub use peak_rates::PeakRates;
pub use rotary::{Rotary, rotate};
#[cfg(feature = "flex")]
pub use weight::Packed;
pub use weight::Weight;
