#![doc = include_str!("../README.md")]

mod embeddings;
mod encoder;
mod error;
mod layer;
mod packed;
mod position;
mod tiles;

pub use embeddings::{PatchEmbedding, VisionEmbeddings};
pub use encoder::{VisionEncoder, VisionOutput};
pub use error::Error;
pub use layer::{EncoderLayer, SelfAttention, VisionMlp};
pub use packed::{PackedEncoder, TileEncoding, Workspace};
pub use position::{PatchMask, position_ids};
