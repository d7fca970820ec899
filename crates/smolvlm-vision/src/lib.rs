//! The SigLIP vision encoder of SmolVLM, on Burn.
//!
//! Tiles `[T, 3, H, W]` go in, patch features `[T, patches, hidden]` come out. The encoder accepts tiles of any size and
//! tiles of which only a part is picture: position ids follow the resolution, invalid patches are hidden from the others.
//! Behavior follows transformers 5.24.0 (`modeling_smolvlm.py`).

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
