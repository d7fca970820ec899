//! The SigLIP vision encoder of SmolVLM, on Burn.
//!
//! It maps tiles `[T, 3, H, W]` to patch features `[T, patches, hidden]`. The encoder accepts tiles of any size and
//! padded tiles: position ids depend on the resolution, and no patch attends to patches of padding. Behavior follows
//! transformers 5.24.0 (`modeling_smolvlm.py`).

mod embeddings;
mod encoder;
mod error;
mod layer;
#[cfg(feature = "flex")]
mod packed;
mod position;

pub use embeddings::{PatchEmbedding, VisionEmbeddings};
pub use encoder::{VisionEncoder, VisionOutput};
pub use error::Error;
pub use layer::{EncoderLayer, SelfAttention, VisionMlp};
pub use position::{PatchMask, position_ids};
