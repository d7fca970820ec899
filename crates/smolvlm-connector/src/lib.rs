#![doc = include_str!("../README.md")]

mod connector;
mod error;

pub use connector::{Connector, pixel_shuffle};
pub use error::Error;
