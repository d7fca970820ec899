//! Kernels of SmolVLM over slices and GPU buffers, without a tensor library.
//!
//! - [`cpu`]: packed weights, matrix products, attention, norms and activations, on a pool of threads; inner loops for
//!   each instruction set.
//! - `gpu` (feature `cubecl`): decode steps and elementwise operations.
//! - [`MappedFile`]: files as slices. [`PeakRates`]: the rates to which kernels are compared.
//!
//! This is the only crate of the workspace that may contain `unsafe` code. Each block states its reason, and tests
//! compare each kernel with plain loops.

mod activation;
pub mod cpu;
mod exp;
mod format;
#[cfg(feature = "cubecl")]
#[allow(unsafe_code, reason = "kernel launches state the lengths of their buffers, which only their callers know")]
pub mod gpu;
mod mapped_file;
mod peak_rates;

pub use activation::Activation;
pub use format::{Format, GROUP};
pub use mapped_file::MappedFile;
pub use peak_rates::PeakRates;
