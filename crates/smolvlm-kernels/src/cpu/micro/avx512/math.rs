//! Softmax, activations and rounding for AVX-512, which has instructions for powers of two and approximate reciprocals.
//!
//! Results agree with [`softmax`](crate::cpu::softmax) and [`activation`](crate::activation) to 3e-7.

use crate::cpu::epilogue::Region;
use crate::cpu::shared_slice::SharedSlice;
use crate::cpu::softmax::RowStats;
use half::bf16;
use std::arch::x86_64::{
    __m512, __m512i, __mmask16, _CMP_NGT_UQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_cvtne2ps_pbh, _mm512_fmadd_ps,
    _mm512_fnmadd_ps, _mm512_loadu_ps, _mm512_mask_loadu_ps, _mm512_mask_storeu_epi16, _mm512_mask_storeu_ps,
    _mm512_maskz_mul_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_rcp14_ps, _mm512_reduce_add_ps,
    _mm512_reduce_max_ps, _mm512_reduce_ps, _mm512_scalef_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    _mm512_storeu_si512,
};
use std::mem::transmute;

/// f32 values per vector.
const LANES: usize = 16;

/// `2^x` with a relative error below 2e-7: the integer part of `x`, rounded down, becomes the exponent, and a minimax
/// polynomial approximates the power of the fraction.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn exp2(x: __m512) -> __m512 {
    // The fraction, `x - floor(x)`.
    let r = _mm512_reduce_ps::<0x09>(x);
    let p = _mm512_set1_ps(1.867_130_5e-3);
    let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.017_03e-3));
    let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.579_991_3e-2));
    let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.401_644_4e-1));
    let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.931_513e-1));
    let p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0));
    _mm512_scalef_ps(p, x)
}

/// `z / (1 + 2^power)`; zero where `power` exceeds 125.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn gate(z: __m512, power: __m512) -> __m512 {
    let limit = _mm512_set1_ps(125.0);
    // `min` returns its second operand if one is NaN, so NaN propagates.
    let below = _mm512_add_ps(exp2(_mm512_min_ps(limit, power)), _mm512_set1_ps(1.0));
    let guess = _mm512_rcp14_ps(below);
    // One step of Newton's method.
    let inverse = _mm512_mul_ps(guess, _mm512_fnmadd_ps(below, guess, _mm512_set1_ps(2.0)));
    // The comparison is also true for NaN.
    _mm512_maskz_mul_ps(_mm512_cmp_ps_mask::<_CMP_NGT_UQ>(power, limit), z, inverse)
}

/// Mask of the lanes of the remaining values.
#[inline]
fn mask(left: usize) -> __mmask16 {
    if left >= LANES { __mmask16::MAX } else { (1 << left) - 1 }
}

/// Applies a function to every value.
macro_rules! map {
    ($(#[$meta:meta])* $name:ident, $value:ident => $result:expr) => {
        $(#[$meta])*
        #[target_feature(enable = "avx512f,avx512dq")]
        #[allow(unsafe_code)]
        pub(super) fn $name(values: &mut [f32]) {
            let (chunks, rest) = values.as_chunks_mut::<LANES>();
            for values in chunks {
                // SAFETY: a whole vector.
                let $value = unsafe { _mm512_loadu_ps(values.as_ptr()) };
                let result = $result;
                // SAFETY: likewise.
                unsafe { _mm512_storeu_ps(values.as_mut_ptr(), result) };
            }
            let mask = mask(rest.len());
            // SAFETY: the mask excludes lanes past the end of the slice.
            let $value = unsafe { _mm512_mask_loadu_ps(_mm512_setzero_ps(), mask, rest.as_ptr()) };
            let result = $result;
            // SAFETY: likewise.
            unsafe { _mm512_mask_storeu_ps(rest.as_mut_ptr(), mask, result) };
        }
    };
}

map! {
    /// `z sigmoid(2u)`, which `0.5 z (1 + tanh(u))` equals, with `u = sqrt(2/pi) (z + 0.044715 z^3)`.
    gelu_tanh, z => {
        // Minus 2 sqrt(2/pi) log2(e), and that times 0.044715.
        let slope = _mm512_fmadd_ps(_mm512_mul_ps(z, z), _mm512_set1_ps(-0.102_943_24), _mm512_set1_ps(-2.302_208_2));
        gate(z, _mm512_mul_ps(slope, z))
    }
}

map! {
    /// `z sigmoid(z)`.
    silu, z => gate(z, _mm512_mul_ps(z, _mm512_set1_ps(-std::f32::consts::LOG2_E)))
}

/// Writes the unnormalized softmax, `2^(scale (score - largest))`, as bf16.
///
/// # Safety
///
/// `out` must have room for as many values as there are scores.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
#[allow(unsafe_code)]
pub(super) unsafe fn softmax_bf16(scores: &[f32], scale: f32, out: *mut u16) -> RowStats {
    // SAFETY: the caller guarantees the room; see `softmax_with`.
    unsafe { softmax_with(scores, scale, |at, left, weights| store_bf16(weights, left, out.add(at))) }
}

/// Rounds two vectors to bf16 and writes their first `left` values.
///
/// # Safety
///
/// `out` must have room for them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[allow(unsafe_code)]
unsafe fn store_bf16([first, second]: [__m512; 2], left: usize, out: *mut u16) {
    // SAFETY: the types have the same size; the mask excludes the values past the end. Masked stores are several times
    // slower, so full vectors are stored without a mask.
    unsafe {
        let both: __m512i = transmute(_mm512_cvtne2ps_pbh(second, first));
        if left >= 2 * LANES {
            _mm512_storeu_si512(out.cast(), both);
        } else {
            _mm512_mask_storeu_epi16(out.cast(), (1 << left) - 1, both);
        }
    }
}

/// [`softmax_bf16`] with f32 results.
///
/// # Safety
///
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
#[allow(unsafe_code)]
pub(super) unsafe fn softmax_f32(scores: &[f32], scale: f32, out: *mut f32) -> RowStats {
    // SAFETY: the caller guarantees the room; see `softmax_with`.
    unsafe {
        softmax_with(scores, scale, |at, left, [first, second]| {
            let out = out.add(at);
            if left >= 2 * LANES {
                _mm512_storeu_ps(out, first);
                _mm512_storeu_ps(out.add(LANES), second);
            } else {
                _mm512_mask_storeu_ps(out, mask(left), first);
                _mm512_mask_storeu_ps(out.add(LANES.min(left)), mask(left.saturating_sub(LANES)), second);
            }
        })
    }
}

/// Calls `store` with two vectors of weights at a time, their offset and the number of values from there to the end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
#[allow(unsafe_code)]
unsafe fn softmax_with(scores: &[f32], scale: f32, store: impl Fn(usize, usize, [__m512; 2])) -> RowStats {
    let least = _mm512_set1_ps(f32::NEG_INFINITY);
    // SAFETY: masks exclude lanes past the end of the slice.
    let load = |scores: &[f32]| unsafe {
        if scores.len() == 2 * LANES {
            return [_mm512_loadu_ps(scores.as_ptr()), _mm512_loadu_ps(scores.as_ptr().add(LANES))];
        }
        let second = LANES.min(scores.len());
        [
            _mm512_mask_loadu_ps(least, mask(scores.len()), scores.as_ptr()),
            _mm512_mask_loadu_ps(least, mask(scores.len() - second), scores.as_ptr().add(second)),
        ]
    };
    let mut lane_max = [least; 2];
    for scores in scores.chunks(2 * LANES) {
        let [first, second] = load(scores);
        lane_max = [_mm512_max_ps(lane_max[0], first), _mm512_max_ps(lane_max[1], second)];
    }
    let largest = _mm512_reduce_max_ps(_mm512_max_ps(lane_max[0], lane_max[1]));
    let (shift, scale) = (_mm512_set1_ps(-largest * scale), _mm512_set1_ps(scale));
    let mut sums = [_mm512_setzero_ps(); 2];
    for (chunk, values) in scores.chunks(2 * LANES).enumerate() {
        let weights = load(values).map(|scores| exp2(_mm512_fmadd_ps(scores, scale, shift)));
        sums = [_mm512_add_ps(sums[0], weights[0]), _mm512_add_ps(sums[1], weights[1])];
        store(chunk * 2 * LANES, scores.len() - chunk * 2 * LANES, weights);
    }
    RowStats { largest, sum: _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1])) }
}

/// Rounds a block of rows to bf16, to nearest, ties to even; subnormal results become zero.
///
/// # Safety
///
/// As [`Region::rows`]; at most 32 columns, and 32 values from the start of each row of `sums`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[allow(unsafe_code)]
pub(super) unsafe fn narrow_rows(sums: &[f32], stride: usize, region: Region, out: SharedSlice<'_, bf16>) {
    for row in 0..region.rows {
        // SAFETY: the row has 32 sums, as required of the caller, and `part` checks the destination.
        unsafe {
            let out = out.part(region.start + row * region.stride, region.columns);
            let values = sums.as_ptr().add(row * stride);
            let pair = [_mm512_loadu_ps(values), _mm512_loadu_ps(values.add(LANES))];
            store_bf16(pair, region.columns, out.as_mut_ptr().cast());
        }
    }
}
