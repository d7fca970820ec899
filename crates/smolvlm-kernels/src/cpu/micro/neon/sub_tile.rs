//! Parts of tiles whose sums fit the registers.

use crate::cpu::micro::{COLUMNS, Operand, Tile};
use std::arch::aarch64::{float32x4_t, vst1q_f32, vuzp1q_f32, vuzp2q_f32};

/// Values per vector.
pub(super) const LANES: usize = 4;
/// Number of vectors for all columns of a panel.
pub(super) const FULL: usize = COLUMNS / LANES;

/// A group of rows of a tile, and the destination of their sums.
#[derive(Clone, Copy)]
pub(super) struct SubTile {
    a: *const u32,
    a_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
}

impl SubTile {
    /// At most `max_rows` rows of a tile from `first`.
    pub(super) fn new(a: Operand<'_>, out: &mut Tile<'_>, first: usize, max_rows: usize) -> Self {
        Self {
            rows: max_rows.min(a.rows - first),
            a: a.words[first * a.stride..].as_ptr(),
            a_stride: a.stride,
            out: out.sums[first * out.stride..].as_mut_ptr(),
            out_stride: out.stride,
        }
    }

    /// The same rows without their first `steps` steps.
    pub(super) fn skip(self, steps: usize) -> Self {
        Self { a: self.a.wrapping_add(steps), ..self }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The words of a row.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> *const u32 {
        self.a.wrapping_add(row * self.a_stride)
    }

    /// The words of a pair of rows. A partial pair repeats its row.
    #[inline(always)]
    pub(super) fn pair(&self, pair: usize) -> [*const u32; 2] {
        [self.row(2 * pair), self.row((2 * pair + 1).min(self.rows - 1))]
    }

    /// Writes the sums of `R` rows, starting at vector `first` of the columns.
    ///
    /// # Safety
    ///
    /// The tile must have room for these rows and columns.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(super) unsafe fn store<const R: usize, const V: usize>(&self, sums: &[[float32x4_t; V]; R], first: usize) {
        for (row, sums) in sums.iter().enumerate() {
            for (vector, sum) in sums.iter().enumerate() {
                // SAFETY: as required of the caller.
                unsafe { vst1q_f32(self.out.add(row * self.out_stride + (first + vector) * LANES), *sum) };
            }
        }
    }

    /// Writes the sums of `P` pairs of rows, starting at vector `first` of the columns. Each vector of sums has two
    /// columns with two rows each.
    ///
    /// # Safety
    ///
    /// The tile must have room for these rows and columns.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(super) unsafe fn store_pairs<const P: usize, const V: usize>(
        &self,
        sums: &[[[float32x4_t; 2]; V]; P],
        first: usize,
    ) {
        for (pair, sums) in sums.iter().enumerate() {
            for (vector, [left, right]) in sums.iter().enumerate() {
                let out = self.out.wrapping_add(2 * pair * self.out_stride + (first + vector) * LANES);
                // SAFETY: as required of the caller.
                unsafe {
                    vst1q_f32(out, vuzp1q_f32(*left, *right));
                    if 2 * pair + 1 < self.rows {
                        vst1q_f32(out.add(self.out_stride), vuzp2q_f32(*left, *right));
                    }
                }
            }
        }
    }
}
