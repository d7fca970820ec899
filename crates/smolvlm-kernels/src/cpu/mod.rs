//! Kernels for the CPU: packed weights, and products, norms and attention over plain slices, on a pool of spinning threads.
//!
//! Burn's CPU backend converts half precision on every call, takes one value at a time through mathematics functions and
//! allocates every result. What runs a model here works on memory of its own instead and meets Burn at both ends.

mod arena;
mod attend_one;
mod attention;
mod half;
mod host;
pub(crate) mod isa;
mod linear;
mod matrix;
pub(crate) mod micro;
mod norm;
mod output;
mod packed;
mod pool;
mod quantize;
mod rotary;
mod rows;
mod shared;
mod softmax;
mod words;

pub use attend_one::attend_one;
pub use attention::{AttentionScratch, AttentionShape, Heads, Visible, attention};
pub use host::{HostValues, Stored, matrix_of, modify, tensor_of};
pub use isa::{Isa, Level};
pub use linear::{gated_products, products};
pub use matrix::{Element, Matrix};
pub use norm::{layer_norm, rms_norm};
pub use output::Output;
pub use packed::PackedMatrix;
pub use pool::Pool;
pub use quantize::{quantize_group, quantize_row};
pub use rotary::rotate;
pub use rows::Rows;

#[cfg(test)]
mod tests;
