#![doc = include_str!("../README.md")]

mod cache;
mod error;
#[cfg(feature = "cubecl")]
mod gpu;
mod layer;
mod model;
mod packed;

pub use cache::{KvCache, LayerCache};
pub use error::Error;
#[cfg(feature = "cubecl")]
pub use gpu::{GpuDecoder, GpuPages, GpuPrompts, GpuRow};
pub use layer::{DecoderLayer, LayerContext, SelfAttention, TextMlp};
pub use model::{TextModel, TextOutput};
pub use packed::{PackedDecoder, Workspace};
