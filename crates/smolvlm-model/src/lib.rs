//! The assembled SmolVLM model: weights, feature merge, hidden states, on Burn

mod convert;
mod error;
mod header;
mod place;
mod random;
mod resolve;
mod shards;
mod stored;
mod weights;

pub use error::{Error, Misshapen, WeightMismatch};
pub use random::write_random_checkpoint;
pub use stored::Weights;
pub use weights::{TensorKind, TensorSpec, tensor_specs};
