//! Commands, one file per command.

pub mod batch;
pub mod bench;
pub mod chat;
pub mod decide;
pub mod describe;
pub mod devices;
pub mod document;
pub mod estimate;
pub mod forward;
pub mod generate;
pub mod process;
#[cfg(feature = "flex")]
pub mod quantize;
pub mod random;
#[cfg(feature = "server")]
pub mod serve;
#[cfg(feature = "train")]
pub mod train;
