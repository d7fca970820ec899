//! The SmolLM2 (Llama) text model of SmolVLM, on Burn.
//!
//! It maps embeddings `[B, T, hidden]` to hidden states of the same shape. Keys and values of earlier positions are
//! kept in a [`KvCache`], which is allocated once. Rows of a batch may be left-padded. Behavior follows transformers
//! 5.24.0 (`modeling_llama.py`).

mod cache;
mod error;
#[cfg(feature = "cubecl")]
mod gpu;
mod layer;
mod model;
#[cfg(feature = "flex")]
mod packed;

pub use cache::{KvCache, LayerCache};
pub use error::Error;
#[cfg(feature = "cubecl")]
pub use gpu::GpuDecoder;
pub use layer::{DecoderLayer, LayerContext, SelfAttention, TextMlp};
pub use model::{TextModel, TextOutput};
