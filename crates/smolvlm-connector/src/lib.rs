//! The pixel-shuffle connector of SmolVLM, on Burn: patch features in, text-width features out.

mod connector;
mod error;

pub use connector::{Connector, pixel_shuffle};
pub use error::Error;
