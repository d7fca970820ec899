//! Multiply-add instructions by element: four columns of a step times one word of a row.
//!
//! The intrinsics of the newer instructions are not stable, so these are inline assembly.

#![expect(clippy::needless_range_loop, reason = "iterators over rows and columns are not unrolled")]

use crate::cpu::micro::COLUMNS;
use crate::cpu::micro::neon::sub_tile::{LANES, SubTile};
use std::arch::aarch64::{
    float32x4_t, uint32x4_t, vandq_u32, vdupq_n_f32, vdupq_n_u32, vfmaq_laneq_f32, vld1q_dup_u32, vld1q_u32,
    vreinterpretq_f32_u32, vshlq_n_u32,
};
use std::arch::asm;

/// An instruction, or several that have the same effect.
///
/// # Safety
///
/// Only for processors that have the instructions.
#[allow(unsafe_code)]
pub(super) unsafe trait ByElement {
    /// Sums of four columns.
    type Sums: Copy;
    /// Four words, converted for the instruction.
    type Words: Copy;

    /// Sums of zero.
    unsafe fn zero() -> Self::Sums;
    /// Converts four words of columns or of a row.
    unsafe fn convert(words: uint32x4_t) -> Self::Words;
    /// Adds the products of the columns with word `LANE` of the row.
    unsafe fn multiply_add<const LANE: i32>(sums: Self::Sums, columns: Self::Words, row: Self::Words) -> Self::Sums;
}

/// Adds the products of `R` rows with `V` vectors of columns of a panel, which starts at the first of these columns.
///
/// Inlined into functions with the target features of the instruction.
///
/// # Safety
///
/// The processor must have the instruction; rows and panel must have as many steps.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn accumulate<I: ByElement, const R: usize, const V: usize>(
    sums: &mut [[I::Sums; V]; R],
    sub_tile: SubTile,
    panel: *const u32,
    steps: usize,
) {
    // SAFETY: as required of the caller.
    unsafe {
        let mut rows = [I::convert(vdupq_n_u32(0)); R];
        let whole = steps - steps % LANES;
        for step in (0..whole).step_by(LANES) {
            for row in 0..R {
                rows[row] = I::convert(vld1q_u32(sub_tile.row(row).add(step)));
            }
            let panel = panel.add(step * COLUMNS);
            accumulate_step::<I, R, V, 0>(sums, &rows, panel);
            accumulate_step::<I, R, V, 1>(sums, &rows, panel.add(COLUMNS));
            accumulate_step::<I, R, V, 2>(sums, &rows, panel.add(2 * COLUMNS));
            accumulate_step::<I, R, V, 3>(sums, &rows, panel.add(3 * COLUMNS));
        }
        for step in whole..steps {
            for row in 0..R {
                rows[row] = I::convert(vld1q_dup_u32(sub_tile.row(row).add(step)));
            }
            accumulate_step::<I, R, V, 0>(sums, &rows, panel.add(step * COLUMNS));
        }
    }
}

/// [`accumulate`] for one step, which is word `LANE` of the rows.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn accumulate_step<I: ByElement, const R: usize, const V: usize, const LANE: i32>(
    sums: &mut [[I::Sums; V]; R],
    rows: &[I::Words; R],
    panel: *const u32,
) {
    for vector in 0..V {
        // SAFETY: as required of the caller.
        unsafe {
            let columns = I::convert(vld1q_u32(panel.add(vector * LANES)));
            for row in 0..R {
                sums[row][vector] = I::multiply_add::<LANE>(sums[row][vector], columns, rows[row]);
            }
        }
    }
}

/// f32 words.
pub(super) struct F32;

#[allow(unsafe_code)]
// SAFETY: every AArch64 processor has NEON.
unsafe impl ByElement for F32 {
    type Sums = float32x4_t;
    type Words = float32x4_t;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn zero() -> float32x4_t {
        vdupq_n_f32(0.0)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn convert(words: uint32x4_t) -> float32x4_t {
        vreinterpretq_f32_u32(words)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn multiply_add<const LANE: i32>(sums: float32x4_t, columns: float32x4_t, row: float32x4_t) -> float32x4_t {
        vfmaq_laneq_f32::<LANE>(sums, columns, row)
    }
}

/// Pairs of bf16, converted to f32.
pub(super) struct WideBf16;

#[allow(unsafe_code)]
// SAFETY: every AArch64 processor has NEON.
unsafe impl ByElement for WideBf16 {
    type Sums = float32x4_t;
    /// Values in the low halves of words, and those in the high halves.
    type Words = [float32x4_t; 2];

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn zero() -> float32x4_t {
        vdupq_n_f32(0.0)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn convert(pairs: uint32x4_t) -> [float32x4_t; 2] {
        let high = vandq_u32(pairs, vdupq_n_u32(0xffff_0000));
        [vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs)), vreinterpretq_f32_u32(high)]
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn multiply_add<const LANE: i32>(
        sums: float32x4_t,
        columns: [float32x4_t; 2],
        row: [float32x4_t; 2],
    ) -> float32x4_t {
        vfmaq_laneq_f32::<LANE>(vfmaq_laneq_f32::<LANE>(sums, columns[0], row[0]), columns[1], row[1])
    }
}

/// Pairs of bf16.
pub(super) struct Bf16;

#[allow(unsafe_code)]
// SAFETY: the instruction is in functions with its target feature.
unsafe impl ByElement for Bf16 {
    type Sums = float32x4_t;
    type Words = uint32x4_t;

    #[inline]
    #[target_feature(enable = "neon,bf16")]
    unsafe fn zero() -> float32x4_t {
        vdupq_n_f32(0.0)
    }

    #[inline]
    #[target_feature(enable = "neon,bf16")]
    unsafe fn convert(pairs: uint32x4_t) -> uint32x4_t {
        pairs
    }

    #[inline]
    #[target_feature(enable = "neon,bf16")]
    unsafe fn multiply_add<const LANE: i32>(
        mut sums: float32x4_t,
        columns: uint32x4_t,
        row: uint32x4_t,
    ) -> float32x4_t {
        // SAFETY: reads and writes these registers only.
        unsafe {
            asm!(
                "bfdot {sums:v}.4s, {columns:v}.8h, {row:v}.2h[{lane}]",
                sums = inout(vreg) sums,
                columns = in(vreg) columns,
                row = in(vreg) row,
                lane = const LANE,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sums
    }
}
