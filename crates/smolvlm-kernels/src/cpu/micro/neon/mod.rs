//! Kernels for NEON, with BF16, dot products and products of matrices where the processor has them.
//!
//! Thirty-two registers of four words hold the sums of some rows and columns. There are two ways to multiply: one word
//! of a row [by element](by_element) with four columns, and a [pair](by_pair) of rows with two columns over two steps,
//! which does twice the work per instruction. Both have the same results, so the number of rows selects one.
//!
//! Functions that are inlined into kernels have no closures and no iterators over rows or columns: the compiler compiles
//! the former without target features and does not unroll the latter, so that sums would be kept in memory.

#![expect(clippy::needless_range_loop, reason = "see above")]

mod by_element;
mod by_pair;
mod bytes;
mod floats;
mod instructions;
mod sub_tile;

use super::kernels::Kernels;
use crate::cpu::isa::Isa;

/// Installs the kernels that the processor supports.
pub(super) fn install(isa: Isa, kernels: &mut Kernels) {
    // A multiple of the rows of all kernels' sub-tiles.
    kernels.rows = 24;
    kernels.f32_tile = floats::f32_tile;
    kernels.bf16_tile = if isa.bf16 { floats::bf16_tile } else { floats::wide_bf16_tile };
    if isa.i8mm {
        kernels.q8_tile = bytes::mixed_q8_tile;
        kernels.q4_tile = bytes::mixed_q4_tile;
    } else if isa.dotprod {
        kernels.q8_tile = bytes::signed_q8_tile;
        kernels.q4_tile = bytes::signed_q4_tile;
    } else {
        kernels.q8_tile = bytes::wide_q8_tile;
        kernels.q4_tile = bytes::wide_q4_tile;
    }
}
