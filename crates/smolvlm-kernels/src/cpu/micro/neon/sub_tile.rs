//! Parts of tiles whose sums fit the registers.

use crate::cpu::micro::{COLUMNS, Operand, Tile};
use std::arch::aarch64::{float32x4_t, vst1q_f32};

/// Values per vector.
pub(super) const LANES: usize = 4;
/// Number of vectors for all columns of a panel, for half and for a quarter of them.
pub(super) const FULL: usize = COLUMNS / LANES;
pub(super) const HALF: usize = FULL / 2;
pub(super) const QUARTER: usize = FULL / 4;

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
    #[inline]
    pub(super) fn new(a: Operand<'_>, out: &mut Tile<'_>, first: usize, max_rows: usize) -> Self {
        Self {
            a: a.words[first * a.stride..].as_ptr(),
            a_stride: a.stride,
            rows: max_rows.min(a.rows - first),
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

    /// The indices of a pair of rows. A partial pair repeats its row.
    #[inline(always)]
    pub(super) fn pair(&self, pair: usize) -> [usize; 2] {
        [2 * pair, (2 * pair + 1).min(self.rows - 1)]
    }

    /// Writes the sums of a row, starting at vector `first` of the columns.
    ///
    /// # Safety
    ///
    /// The tile must have room for these columns.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(super) unsafe fn store<const V: usize>(&self, row: usize, sums: &[float32x4_t; V], first: usize) {
        for vector in 0..V {
            // SAFETY: as required of the caller.
            unsafe { vst1q_f32(self.out.add(row * self.out_stride + (first + vector) * LANES), sums[vector]) };
        }
    }

    /// Writes the sums of both rows of a pair.
    ///
    /// # Safety
    ///
    /// As [`store`](Self::store).
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(super) unsafe fn store_pair<const V: usize>(&self, pair: usize, sums: &[[float32x4_t; V]; 2], first: usize) {
        let [upper, lower] = self.pair(pair);
        // SAFETY: as required of the caller. The second row of a partial pair repeats the first.
        unsafe {
            self.store(upper, &sums[0], first);
            self.store(lower, &sums[1], first);
        }
    }
}

/// Calls the kernel for a number of rows, compiled with these target features, with these parameters and arguments.
macro_rules! by_rows {
    ($rows:expr, $features:literal, $parameters:tt, $arguments:tt, { $($count:pat => $kernel:path,)+ }) => {
        match $rows {
            $($count => {
                #[target_feature(enable = $features)]
                #[allow(unsafe_code)]
                unsafe fn kernel $parameters {
                    // SAFETY: as required of the caller.
                    unsafe { $kernel $arguments }
                }
                kernel $arguments
            })+
        }
    };
}
pub(super) use by_rows;
