//! Products of four columns with one word of a row.

use super::sub_tile::{LANES, SubTile};
use crate::cpu::micro::COLUMNS;
use std::arch::aarch64::{
    uint32x4_t, vandq_u32, vdupq_n_u32, vld1q_dup_u32, vld1q_u32, vreinterpretq_u8_u32, vreinterpretq_u32_u8,
    vshrq_n_u8,
};

/// A multiply-add instruction by element, or several with this effect.
///
/// # Safety
///
/// Its functions may be called only on processors that have the instructions.
#[allow(unsafe_code)]
pub(super) unsafe trait ByElement {
    /// Sums of four columns.
    type Sums: Copy;
    /// Four words, converted for the instruction.
    type Words: Copy;

    /// Converts four columns of a step, or four steps of a row.
    unsafe fn convert(words: uint32x4_t) -> Self::Words;
    /// Adds the products of four columns with word `LANE` of a row.
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

/// [`accumulate`] for eight steps of 4-bit columns: the four words of a column have steps 0 to 3 in their low nibbles and
/// steps 4 to 7 in their high ones.
///
/// # Safety
///
/// As there.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn accumulate_nibbles<I: ByElement<Words = uint32x4_t>, const R: usize, const V: usize>(
    sums: &mut [[I::Sums; V]; R],
    sub_tile: SubTile,
    panel: *const u32,
) {
    // SAFETY: as required of the caller.
    unsafe {
        let mut rows = [[vdupq_n_u32(0); 2]; R];
        for row in 0..R {
            rows[row] = [vld1q_u32(sub_tile.row(row)), vld1q_u32(sub_tile.row(row).add(LANES))];
        }
        accumulate_nibbles_step::<I, R, V, 0>(sums, &rows, panel);
        accumulate_nibbles_step::<I, R, V, 1>(sums, &rows, panel.add(COLUMNS));
        accumulate_nibbles_step::<I, R, V, 2>(sums, &rows, panel.add(2 * COLUMNS));
        accumulate_nibbles_step::<I, R, V, 3>(sums, &rows, panel.add(3 * COLUMNS));
    }
}

/// [`accumulate_nibbles`] for one word of each column.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn accumulate_nibbles_step<I, const R: usize, const V: usize, const LANE: i32>(
    sums: &mut [[I::Sums; V]; R],
    rows: &[[uint32x4_t; 2]; R],
    panel: *const u32,
) where
    I: ByElement<Words = uint32x4_t>,
{
    for vector in 0..V {
        // SAFETY: as required of the caller.
        unsafe {
            let [low, high] = nibbles(vld1q_u32(panel.add(vector * LANES)));
            for row in 0..R {
                let sum = I::multiply_add::<LANE>(sums[row][vector], low, rows[row][0]);
                sums[row][vector] = I::multiply_add::<LANE>(sum, high, rows[row][1]);
            }
        }
    }
}

/// The low and the high nibbles of bytes.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn nibbles(words: uint32x4_t) -> [uint32x4_t; 2] {
    let high = vreinterpretq_u32_u8(vshrq_n_u8::<4>(vreinterpretq_u8_u32(words)));
    [vandq_u32(words, vdupq_n_u32(0x0f0f_0f0f)), high]
}
