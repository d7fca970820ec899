//! Matrix instructions: two columns times two rows over two steps.
//!
//! Their intrinsics are not stable, so these are inline assembly.

#![expect(clippy::needless_range_loop, reason = "iterators over rows and columns are not unrolled")]

use crate::cpu::micro::COLUMNS;
use crate::cpu::micro::neon::sub_tile::{LANES, SubTile};
use std::arch::aarch64::{
    float32x4_t, uint32x4_t, vdupq_n_f32, vdupq_n_u32, vld1q_lane_u32, vld1q_u32, vreinterpretq_u32_u64,
    vreinterpretq_u64_u32, vzip1q_u32, vzip1q_u64, vzip2q_u32, vzip2q_u64,
};
use std::arch::asm;

/// A matrix instruction.
///
/// # Safety
///
/// Only for processors that have the instruction.
#[allow(unsafe_code)]
pub(super) unsafe trait ByPair {
    /// Sums of two columns, each with two rows.
    type Sums: Copy;

    /// Sums of zero.
    unsafe fn zero() -> Self::Sums;
    /// Adds the products of two columns with two rows, each of two steps.
    unsafe fn multiply_add(sums: Self::Sums, columns: uint32x4_t, rows: uint32x4_t) -> Self::Sums;
}

/// Sums of `P` pairs of rows and `V` vectors of columns: of the first two columns of a vector, and of the others.
pub(super) type PairSums<I, const P: usize, const V: usize> = [[[<I as ByPair>::Sums; 2]; V]; P];

/// Adds the products of `P` pairs of rows with `V` vectors of columns of a panel, which starts at the first of these
/// columns.
///
/// Inlined into functions with the target features of the instruction.
///
/// # Safety
///
/// The processor must have the instruction; rows and panel must have as many steps.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn accumulate<I: ByPair, const P: usize, const V: usize>(
    sums: &mut PairSums<I, P, V>,
    sub_tile: SubTile,
    panel: *const u32,
    steps: usize,
) {
    // SAFETY: as required of the caller.
    unsafe {
        let zero = vdupq_n_u32(0);
        let whole = steps - steps % LANES;
        for step in (0..whole).step_by(LANES) {
            // Of both halves of the four steps.
            let mut rows = [[zero; P]; 2];
            for pair in 0..P {
                let [first, second] = sub_tile.pair(pair);
                let first = vreinterpretq_u64_u32(vld1q_u32(first.add(step)));
                let second = vreinterpretq_u64_u32(vld1q_u32(second.add(step)));
                rows[0][pair] = vreinterpretq_u32_u64(vzip1q_u64(first, second));
                rows[1][pair] = vreinterpretq_u32_u64(vzip2q_u64(first, second));
            }
            for half in 0..2 {
                let panel = panel.add((step + 2 * half) * COLUMNS);
                for vector in 0..V {
                    let columns = panel.add(vector * LANES);
                    let columns = [vld1q_u32(columns), vld1q_u32(columns.add(COLUMNS))];
                    multiply_columns::<I, P, V>(sums, vector, columns, &rows[half]);
                }
            }
        }
        for step in whole..steps {
            let mut rows = [zero; P];
            for pair in 0..P {
                let [first, second] = sub_tile.pair(pair);
                rows[pair] = vld1q_lane_u32::<2>(second.add(step), vld1q_lane_u32::<0>(first.add(step), zero));
            }
            for vector in 0..V {
                let columns = vld1q_u32(panel.add(step * COLUMNS + vector * LANES));
                multiply_columns::<I, P, V>(sums, vector, [columns, zero], &rows);
            }
        }
    }
}

/// Adds the products of pairs of rows with one vector of columns, of two steps.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn multiply_columns<I: ByPair, const P: usize, const V: usize>(
    sums: &mut PairSums<I, P, V>,
    vector: usize,
    steps: [uint32x4_t; 2],
    rows: &[uint32x4_t; P],
) {
    // SAFETY: as required of the caller.
    unsafe {
        let columns = [vzip1q_u32(steps[0], steps[1]), vzip2q_u32(steps[0], steps[1])];
        for pair in 0..P {
            for side in 0..2 {
                sums[pair][vector][side] = I::multiply_add(sums[pair][vector][side], columns[side], rows[pair]);
            }
        }
    }
}

/// Pairs of bf16; the same results as the instruction by element.
pub(super) struct Bf16;

#[allow(unsafe_code)]
// SAFETY: the instruction is in functions with its target feature.
unsafe impl ByPair for Bf16 {
    type Sums = float32x4_t;

    #[inline]
    #[target_feature(enable = "neon,bf16")]
    unsafe fn zero() -> float32x4_t {
        vdupq_n_f32(0.0)
    }

    #[inline]
    #[target_feature(enable = "neon,bf16")]
    unsafe fn multiply_add(mut sums: float32x4_t, columns: uint32x4_t, rows: uint32x4_t) -> float32x4_t {
        // SAFETY: reads and writes these registers only.
        unsafe {
            asm!(
                "bfmmla {sums:v}.4s, {columns:v}.8h, {rows:v}.8h",
                sums = inout(vreg) sums,
                columns = in(vreg) columns,
                rows = in(vreg) rows,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sums
    }
}
