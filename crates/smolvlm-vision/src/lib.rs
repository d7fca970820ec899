#![doc = include_str!("../README.md")]

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
