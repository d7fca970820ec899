//! The SmolLM2 (Llama) text model of SmolVLM, on Burn.
//!
//! Embeddings `[B, T, hidden]` go in, hidden states of the same shape come out; keys and values of all positions seen so
//! far stay in a [`KvCache`] that is allocated once. Rows of a batch may be padded on the left. Behavior follows
//! transformers 5.24.0 (`modeling_llama.py`).

mod cache;
#[cfg(feature = "cubecl")]
mod gpu;
mod error;
mod layer;
mod model;
#[cfg(feature = "flex")]
mod packed;

pub use cache::{KvCache, LayerCache};
#[cfg(feature = "cubecl")]
pub use gpu::GpuDecoder;
pub use error::Error;
pub use layer::{DecoderLayer, LayerContext, SelfAttention, TextMlp};
pub use model::{TextModel, TextOutput};
