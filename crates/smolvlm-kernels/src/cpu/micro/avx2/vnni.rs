//! Products of 8-bit rows with 8-bit and 4-bit weights, with the dot products of bytes of AVX-VNNI.

use super::{FULL, HALF, SubTile, column_scales, rolled, weights};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{AHEAD, Operand, Q4_LINES, Q8_LINES, QuantParams, Tile};
use crate::{Q4_GROUP, Q8_GROUP};
use std::arch::x86_64::{
    _mm256_and_si256, _mm256_cvtepi32_ps, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_mul_ps, _mm256_set1_epi32,
    _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_srli_epi32,
};

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn q8_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(6) {
        let sub_tile = SubTile::new(a, &mut out, first);
        let (q, panel) = (q.rows_from(first, groups), panel.as_ptr());
        // SAFETY: `micro` checked that panel, rows and parameters hold all groups, and `install` the instructions.
        unsafe { by_rows!(6.min(a.rows - first), q8_rows(sub_tile, panel, groups, q), 3 4 5 6) }
    }
}

#[target_feature(enable = "avx2,fma,avxvnni")]
#[allow(unsafe_code)]
unsafe fn q8_rows<const R: usize, const V: usize>(
    sub_tile: SubTile,
    first: usize,
    panel: *const CacheLine,
    groups: usize,
    q: QuantParams<'_>,
) {
    const STEPS: usize = Q8_GROUP / 4;
    let mut values = [[_mm256_setzero_ps(); V]; R];
    for group in 0..groups {
        let lines = panel.wrapping_add(group * Q8_LINES);
        let mut sums = [[_mm256_setzero_si256(); V]; R];
        for (row, sums) in sums.iter_mut().enumerate() {
            *sums = [_mm256_set1_epi32(q.offset[row * groups + group]); V];
        }
        for step in 0..STEPS {
            sub_tile.prefetch(lines.wrapping_add(2 * AHEAD), step);
            let mut columns = [_mm256_setzero_si256(); V];
            for (vector, columns) in columns.iter_mut().enumerate() {
                // SAFETY: the step is in the group.
                *columns = unsafe { weights(lines, step, first + vector) };
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the step is in the row.
                let quad = unsafe { sub_tile.word(row, group * STEPS + step) };
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    *sum = _mm256_dpbusd_avx_epi32(*sum, columns, quad);
                }
            }
        }
        // SAFETY: the last line of a group holds its scales.
        let scales = unsafe { column_scales::<V>(lines.add(Q8_LINES - 1), first) };
        for (row, sums) in sums.into_iter().enumerate() {
            let scale = _mm256_set1_ps(q.scale[row * groups + group]);
            for (vector, sum) in sums.into_iter().enumerate() {
                let factor = _mm256_mul_ps(scales[vector], scale);
                values[row][vector] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor, values[row][vector]);
            }
        }
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&values, first) };
}

q4_kernel! {
    /// Multiplies 8-bit rows with 4-bit weights.
    "avx2,fma,avxvnni", 6: 3 4 5 6,
    (sum, columns, quads) => {
        let half = _mm256_dpbusd_avx_epi32(sum, columns[0], quads[0]);
        _mm256_dpbusd_avx_epi32(half, columns[1], quads[1])
    },
    sum => sum
}
