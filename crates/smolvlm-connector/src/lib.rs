#![doc = include_str!("../README.md")]

mod connector;
mod error;
mod packed;

pub use connector::{Connector, pixel_shuffle};
pub use error::Error;
pub use packed::PackedConnector;
