//! The pixel-shuffle connector of SmolVLM, on Burn. It converts patch features to features of the text model's width.

mod connector;
mod error;

pub use connector::{Connector, pixel_shuffle};
pub use error::Error;
