#![doc = include_str!("../README.md")]

mod activation;
pub mod cpu;
mod exp;
#[cfg(feature = "cubecl")]
#[allow(unsafe_code, reason = "kernel launches state the lengths of their buffers, which only their callers know")]
pub mod gpu;
mod mapped_file;
mod packed_format;
mod pages;
mod peak_rates;

pub use activation::Activation;
pub use mapped_file::MappedFile;
pub use packed_format::{PackedFormat, Q4_GROUP, Q8_GROUP};
pub use pages::{PAGE_TOKENS, PageId, PageReferences, PageStore};
pub use peak_rates::PeakRates;

/// Likely next tokens in ascending order, with their logits.
pub type TopTokens = Vec<(u32, f32)>;
