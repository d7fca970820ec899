//! Decode attention loops for AVX512-BF16: dot products of a query with keys, and weighted sums of values.

use super::tiles::pairs;
use std::arch::x86_64::{
    __m512, _MM_HINT_T0, _mm_prefetch, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd, _mm512_dpbf16_ps,
    _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_shuffle_f32x4,
    _mm512_storeu_ps, _mm512_unpackhi_epi16, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_epi16,
    _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

/// bf16 values per vector.
const WIDE: usize = 32;
/// Keys whose dot products are reduced together.
const KEYS: usize = 16;

/// Prefetch distance in keys or values, which come from memory.
const AHEAD: usize = 24;

/// Whether the width of a head is a multiple of the vector length.
pub(super) fn fits(width: usize) -> bool {
    width > 0 && width.is_multiple_of(WIDE)
}

/// Dot products of a query with keys that are `token` values apart.
///
/// # Panics
///
/// When the width of the query is not supported, or there are too few keys.
///
/// # Safety
///
/// The processor must have AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
#[allow(unsafe_code)]
pub(super) unsafe fn dots(query: &[u16], keys: &[u16], token: usize, scores: &mut [f32]) {
    let width = query.len();
    assert!(fits(width) && (scores.is_empty() || keys.len() >= (scores.len() - 1) * token + width), "keys are missing");
    let mut first = 0;
    for scores in scores.chunks_mut(KEYS) {
        let mut sums = [_mm512_setzero_ps(); KEYS];
        for (index, sum) in sums.iter_mut().take(scores.len()).enumerate() {
            _mm_prefetch::<_MM_HINT_T0>(keys.as_ptr().wrapping_add((first + index + AHEAD) * token).cast());
            for part in (0..width).step_by(WIDE) {
                // SAFETY: inside the query and, as asserted, the keys; a vector of bf16 is bits of the same size.
                *sum = unsafe {
                    let key = _mm512_loadu_si512(keys.as_ptr().add((first + index) * token + part).cast());
                    let query = _mm512_loadu_si512(query.as_ptr().add(part).cast());
                    _mm512_dpbf16_ps(*sum, pairs(query), pairs(key))
                };
            }
        }
        let mut totals = [0.0; KEYS];
        // SAFETY: room for a vector.
        unsafe { _mm512_storeu_ps(totals.as_mut_ptr(), reduce_lanes(sums)) };
        scores.copy_from_slice(&totals[..scores.len()]);
        first += KEYS;
    }
}

/// Horizontal sums of the vectors, in their order.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn reduce_lanes(sums: [__m512; KEYS]) -> __m512 {
    let [a, b, c, d] = [0, 4, 8, 12].map(|first| {
        let pair = |i: usize| {
            let (even, odd) = (sums[first + i], sums[first + i + 1]);
            _mm512_add_ps(_mm512_unpacklo_ps(even, odd), _mm512_unpackhi_ps(even, odd))
        };
        let (left, right) = (pair(0), pair(2));
        let (left, right) = (_mm512_castps_pd(left), _mm512_castps_pd(right));
        let (low, high) = (_mm512_unpacklo_pd(left, right), _mm512_unpackhi_pd(left, right));
        _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high))
    });
    let across = |x, y| _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(x, y), _mm512_shuffle_f32x4::<0xdd>(x, y));
    across(across(a, b), across(c, d))
}

/// The weighted sum of value vectors that are `token` values apart.
///
/// # Panics
///
/// When the width of the sums is not supported, or there are too few values.
///
/// # Safety
///
/// The processor must have AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[allow(unsafe_code)]
pub(super) unsafe fn weighted_sum(weights: &[u16], values: &[u16], token: usize, out: &mut [f32]) {
    let (width, count) = (out.len(), weights.len());
    assert!(fits(width) && (count == 0 || values.len() >= (count - 1) * token + width), "values are missing");
    for (part, out) in out.chunks_exact_mut(WIDE).enumerate() {
        // Two alternating accumulators for each half, to hide latency.
        let mut sums = [[_mm512_setzero_ps(); 2]; 2];
        for pair in 0..count.div_ceil(2) {
            let (one, two) = (2 * pair, 2 * pair + 1);
            let row = |index: usize| {
                // SAFETY: inside the values, as asserted.
                unsafe { _mm512_loadu_si512(values.as_ptr().add(index * token + part * WIDE).cast()) }
            };
            for index in [one, two] {
                let ahead = values.as_ptr().wrapping_add((index + AHEAD) * token + part * WIDE);
                _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            }
            let first = row(one);
            let (second, weight) = match weights.get(two) {
                Some(weight) => (row(two), *weight),
                None => (_mm512_setzero_si512(), 0),
            };
            let weights = _mm512_set1_epi32((u32::from(weights[one]) | u32::from(weight) << 16) as i32);
            let [low, high] = &mut sums[pair % 2];
            let weights = pairs(weights);
            *low = _mm512_dpbf16_ps(*low, weights, pairs(_mm512_unpacklo_epi16(first, second)));
            *high = _mm512_dpbf16_ps(*high, weights, pairs(_mm512_unpackhi_epi16(first, second)));
        }
        // Undo the interleaving: of each eight values, one vector holds the first four, the other the last four.
        let mut halves = [[0.0; 16]; 2];
        for (half, halves) in halves.iter_mut().enumerate() {
            // SAFETY: room for a vector.
            unsafe { _mm512_storeu_ps(halves.as_mut_ptr(), _mm512_add_ps(sums[0][half], sums[1][half])) };
        }
        for (quarter, out) in out.chunks_exact_mut(8).enumerate() {
            out[..4].copy_from_slice(&halves[0][4 * quarter..][..4]);
            out[4..].copy_from_slice(&halves[1][4 * quarter..][..4]);
        }
    }
}
