//! CPU kernels: packed weights, and matrix products, norms and attention over slices, on a pool of spinning threads.
//!
//! Burn's CPU backend converts half precision on every call, evaluates math functions one value at a time and allocates
//! every result. The packed model works on its own buffers instead and uses Burn tensors only for its inputs and
//! outputs.

mod aligned_buf;
#[cfg(target_arch = "x86_64")]
mod amx_state;
mod arena;
mod attention;
mod attention_part;
#[cfg(feature = "backward")]
pub mod backward;
mod epilogue;
mod hadamard;
mod half;
pub(crate) mod isa;
mod kv_pages;
mod kv_store;
mod linear;
mod matrix;
pub(crate) mod micro;
mod norm;
mod packed;
mod packed_lhs;
mod paged_attention;
mod pool;
mod quantize;
mod quantize_rows;
mod rotary;
mod shared_slice;
mod softmax;

pub use attention::{AttentionScratch, AttentionShape, Heads, KeyMask, attention};
pub use epilogue::Epilogue;
pub use hadamard::hadamard;
pub use isa::{Isa, Level};
pub use kv_pages::{KvPages, KvShape, KvType};
pub use kv_store::Segment;
pub use linear::{gated_matmul, matmuls};
pub use matrix::{Element, Matrix};
pub(crate) use micro::COLUMNS;
pub use norm::{layer_norm, rms_norm};
pub use packed::{PackedMatrix, QuantizedRows};
pub use packed_lhs::{PackedLhs, Precision};
pub use paged_attention::{PagedScratch, paged_attention};
pub use pool::Pool;
pub use quantize::{prepare_weights, quantize_q4, quantize_q8};
pub use rotary::rotate;

#[cfg(test)]
mod tests;
