#![doc = include_str!("../README.md")]

mod activation;
mod attention;
#[cfg(feature = "autodiff")]
mod autodiff;
mod cross_entropy;
#[cfg(feature = "flex")]
mod elementwise;
mod embedding;
#[cfg(feature = "cubecl")]
pub mod gpu;
#[cfg(feature = "flex")]
mod host;
mod linear;
mod norm;
mod packed;
mod rotary;

pub use activation::{activate, activation_kernel, gate};
pub use attention::{AttentionMask, attention};
pub use cross_entropy::cross_entropy;
pub use embedding::{Embedding, gather_rows};
#[cfg(feature = "flex")]
pub use host::{HostValues, modify, tensor_of};
pub use linear::{Adapter, Linear, linear};
pub use norm::{LayerNorm, RmsNorm};
pub use packed::{PackedLayerNorm, PackedLinear, PackedRmsNorm, PackedSource};
pub use rotary::{Rotary, rotate};
pub use smolvlm_kernels::Activation;
