//! Products of 8-bit rows with 8-bit and 4-bit weights, without instructions for dot products of bytes.

use super::{FULL, HALF, LANES, SubTile, column_scales, rolled, weights};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{AHEAD, Operand, Q4_LINES, Q8_LINES, QuantParams, Tile};
use crate::{Q4_GROUP, Q8_GROUP};
use std::arch::x86_64::{
    _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi16, _mm256_srai_epi16, _mm256_srli_epi16,
    _mm256_srli_epi32, _mm256_storeu_si256,
};

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn q8_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(4) {
        let sub_tile = SubTile::new(a, &mut out, first);
        let (q, panel) = (q.rows_from(first, groups), panel.as_ptr());
        // SAFETY: `micro` checked that panel, rows and parameters hold all groups, and `install` the instructions.
        unsafe {
            match a.rows - first {
                1 => q8_rows::<1>(sub_tile, panel, groups, q),
                2 => q8_rows::<2>(sub_tile, panel, groups, q),
                3 => q8_rows::<3>(sub_tile, panel, groups, q),
                _ => q8_rows::<4>(sub_tile, panel, groups, q),
            }
        }
    }
}

/// Multiplies 8-bit rows with 8-bit weights. Products with unsigned weights would overflow the 16-bit sums of
/// `maddubs`, so even and odd bytes are widened to 16 bits and multiplied separately: weights in the loop, rows once
/// for all columns.
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
unsafe fn q8_rows<const R: usize>(sub_tile: SubTile, panel: *const CacheLine, groups: usize, q: QuantParams<'_>) {
    const STEPS: usize = Q8_GROUP / 4;
    let mut wide = [[[0_i32; STEPS]; 2]; R];
    let mut values = [[_mm256_setzero_ps(); FULL]; R];
    for group in 0..groups {
        let lines = panel.wrapping_add(group * Q8_LINES);
        for (row, [even, odd]) in wide.iter_mut().enumerate() {
            // SAFETY: the row has the words of this group.
            unsafe { widen(sub_tile.a.add(row * sub_tile.a_stride + group * STEPS), even, odd) };
        }
        for first in [0, HALF] {
            let mut sums = [[_mm256_setzero_si256(); HALF]; R];
            for (row, sums) in sums.iter_mut().enumerate() {
                *sums = [_mm256_set1_epi32(q.offset[row * groups + group]); HALF];
            }
            for step in 0..STEPS {
                if first == 0 {
                    sub_tile.prefetch(lines.wrapping_add(2 * AHEAD), step);
                }
                let mut columns = [[_mm256_setzero_si256(); 2]; HALF];
                for (vector, columns) in columns.iter_mut().enumerate() {
                    // SAFETY: the step is in the panel.
                    let words = unsafe { weights(lines, step, first + vector) };
                    let even = _mm256_and_si256(words, _mm256_set1_epi16(0xff));
                    *columns = [even, _mm256_srli_epi16::<8>(words)];
                }
                for (sums, [even, odd]) in sums.iter_mut().zip(&wide) {
                    let (even, odd) = (_mm256_set1_epi32(even[step]), _mm256_set1_epi32(odd[step]));
                    for (sum, columns) in sums.iter_mut().zip(columns) {
                        let both = _mm256_add_epi32(*sum, _mm256_madd_epi16(even, columns[0]));
                        *sum = _mm256_add_epi32(both, _mm256_madd_epi16(odd, columns[1]));
                    }
                }
            }
            // SAFETY: the last line of a group holds its scales.
            let scales = unsafe { column_scales::<HALF>(lines.add(Q8_LINES - 1), first) };
            for (row, (values, sums)) in values.iter_mut().zip(sums).enumerate() {
                let scale = _mm256_set1_ps(q.scale[row * groups + group]);
                for (vector, sum) in sums.into_iter().enumerate() {
                    let value = &mut values[first + vector];
                    *value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scales[vector], scale), *value);
                }
            }
        }
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&values, 0) };
}

/// Widens the signed bytes of a group to 16 bits: the even bytes of each word to one word, the odd ones to another.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code)]
unsafe fn widen(words: *const u32, even: &mut [i32; Q8_GROUP / 4], odd: &mut [i32; Q8_GROUP / 4]) {
    for step in (0..Q8_GROUP / 4).step_by(LANES) {
        // SAFETY: the caller has a group of words.
        unsafe {
            let quads = _mm256_loadu_si256(words.add(step).cast());
            let low = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(quads));
            _mm256_storeu_si256(even[step..].as_mut_ptr().cast(), low);
            _mm256_storeu_si256(odd[step..].as_mut_ptr().cast(), _mm256_srai_epi16::<8>(quads));
        }
    }
}

q4_kernel! {
    /// Multiplies 8-bit rows with 4-bit weights, which are small enough for `maddubs`: the sums of a group, 8 steps of 2
    /// products of at most 15 * 128, fit in 16 bits.
    "avx2,fma", 4: 3 4,
    (sum, columns, quads) => {
        let both = _mm256_add_epi16(
            _mm256_maddubs_epi16(columns[0], quads[0]),
            _mm256_maddubs_epi16(columns[1], quads[1]),
        );
        _mm256_add_epi16(sum, both)
    },
    sum => _mm256_madd_epi16(sum, _mm256_set1_epi16(1))
}
