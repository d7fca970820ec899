//! Products of two columns with two rows over two steps.

use super::by_element::nibbles;
use super::sub_tile::{LANES, SubTile};
use crate::cpu::micro::COLUMNS;
use std::arch::aarch64::{
    uint32x4_t, vdupq_n_u32, vld1q_lane_u32, vld1q_u32, vreinterpretq_u32_u64, vreinterpretq_u64_u32, vzip1q_u32,
    vzip1q_u64, vzip2q_u32, vzip2q_u64,
};

/// A matrix instruction.
///
/// # Safety
///
/// Its functions may be called only on processors that have the instruction.
#[allow(unsafe_code)]
pub(super) unsafe trait ByPair {
    /// Sums of two columns, each with two rows.
    type Sums: Copy;

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
            let rows = four_steps::<P>(sub_tile.skip(step));
            for half in 0..2 {
                for vector in 0..V {
                    let columns = panel.add((step + 2 * half) * COLUMNS + vector * LANES);
                    let columns = transpose(vld1q_u32(columns), vld1q_u32(columns.add(COLUMNS)));
                    multiply_columns::<I, P, V>(sums, vector, columns, &rows[half]);
                }
            }
        }
        for step in whole..steps {
            let mut rows = [zero; P];
            for pair in 0..P {
                let [first, second] = sub_tile.pair(pair);
                let words = vld1q_lane_u32::<0>(sub_tile.row(first).add(step), zero);
                rows[pair] = vld1q_lane_u32::<2>(sub_tile.row(second).add(step), words);
            }
            for vector in 0..V {
                let columns = transpose(vld1q_u32(panel.add(step * COLUMNS + vector * LANES)), zero);
                multiply_columns::<I, P, V>(sums, vector, columns, &rows);
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
pub(super) unsafe fn accumulate_nibbles<I: ByPair, const P: usize, const V: usize>(
    sums: &mut PairSums<I, P, V>,
    sub_tile: SubTile,
    panel: *const u32,
) {
    // SAFETY: as required of the caller.
    unsafe {
        let (early, late) = (four_steps::<P>(sub_tile), four_steps::<P>(sub_tile.skip(LANES)));
        for half in 0..2 {
            for vector in 0..V {
                let packed = panel.add(2 * half * COLUMNS + vector * LANES);
                let [left, right] = transpose(vld1q_u32(packed), vld1q_u32(packed.add(COLUMNS)));
                let (left, right) = (nibbles(left), nibbles(right));
                multiply_columns::<I, P, V>(sums, vector, [left[0], right[0]], &early[half]);
                multiply_columns::<I, P, V>(sums, vector, [left[1], right[1]], &late[half]);
            }
        }
    }
}

/// The first two of four steps of pairs of rows, and the others.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn four_steps<const P: usize>(sub_tile: SubTile) -> [[uint32x4_t; P]; 2] {
    // SAFETY: the caller's rows have these steps.
    unsafe {
        let mut rows = [[vdupq_n_u32(0); P]; 2];
        for pair in 0..P {
            let [first, second] = sub_tile.pair(pair);
            let first = vreinterpretq_u64_u32(vld1q_u32(sub_tile.row(first)));
            let second = vreinterpretq_u64_u32(vld1q_u32(sub_tile.row(second)));
            rows[0][pair] = vreinterpretq_u32_u64(vzip1q_u64(first, second));
            rows[1][pair] = vreinterpretq_u32_u64(vzip2q_u64(first, second));
        }
        rows
    }
}

/// Two steps of the first two of four columns, and of the others.
#[inline]
#[target_feature(enable = "neon")]
fn transpose(first: uint32x4_t, second: uint32x4_t) -> [uint32x4_t; 2] {
    [vzip1q_u32(first, second), vzip2q_u32(first, second)]
}

/// Adds the products of pairs of rows with one vector of columns, of two steps.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn multiply_columns<I: ByPair, const P: usize, const V: usize>(
    sums: &mut PairSums<I, P, V>,
    vector: usize,
    columns: [uint32x4_t; 2],
    rows: &[uint32x4_t; P],
) {
    for pair in 0..P {
        for side in 0..2 {
            // SAFETY: as required of the caller.
            let sum = unsafe { I::multiply_add(sums[pair][vector][side], columns[side], rows[pair]) };
            sums[pair][vector][side] = sum;
        }
    }
}
