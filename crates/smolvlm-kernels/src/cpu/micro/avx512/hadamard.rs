//! Hadamard transforms in vectors of 16 values.

use crate::Q8_GROUP;
use std::arch::x86_64::{
    __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_permute_ps, _mm512_set1_ps,
    _mm512_shuffle_f32x4, _mm512_storeu_ps, _mm512_sub_ps,
};
use std::mem::transmute;

/// f32 values per vector.
const LANES: usize = 16;

/// Transforms each whole group.
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
pub(super) fn hadamard(values: &mut [f32]) {
    for group in values.as_chunks_mut::<Q8_GROUP>().0 {
        let vectors = group.as_chunks_mut::<LANES>().0;
        // SAFETY: each chunk is a whole vector.
        let [a, b, c, d] = [0, 1, 2, 3].map(|index: usize| within(unsafe { _mm512_loadu_ps(vectors[index].as_ptr()) }));
        let ([a, c], [b, d]) = (pair(a, c), pair(b, d));
        let ([a, b], [c, d]) = (pair(a, b), pair(c, d));
        for (out, vector) in vectors.iter_mut().zip([a, b, c, d]) {
            // 1/8 is the square root of 1/64, and exact.
            let scaled = _mm512_mul_ps(vector, _mm512_set1_ps(0.125));
            // SAFETY: each chunk is a whole vector.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), scaled) };
        }
    }
}

/// Sum and difference.
#[inline]
#[target_feature(enable = "avx512f")]
fn pair(left: __m512, right: __m512) -> [__m512; 2] {
    [_mm512_add_ps(left, right), _mm512_sub_ps(left, right)]
}

/// Transforms the 16 values of a vector: replaces those that are 1, 2, 4 and 8 apart by their sum and difference.
#[inline]
#[target_feature(enable = "avx512f")]
fn within(x: __m512) -> __m512 {
    let x = _mm512_fmadd_ps(x, signs::<1>(), _mm512_permute_ps::<0b10_11_00_01>(x));
    let x = _mm512_fmadd_ps(x, signs::<2>(), _mm512_permute_ps::<0b01_00_11_10>(x));
    let x = _mm512_fmadd_ps(x, signs::<4>(), _mm512_shuffle_f32x4::<0b10_11_00_01>(x, x));
    _mm512_fmadd_ps(x, signs::<8>(), _mm512_shuffle_f32x4::<0b01_00_11_10>(x, x))
}

/// 1 for the earlier value of each pair, -1 for the later one.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn signs<const STEP: usize>() -> __m512 {
    let signs: [f32; LANES] = std::array::from_fn(|lane| if lane & STEP == 0 { 1.0 } else { -1.0 });
    // SAFETY: the types have the same size, and all bit patterns are valid.
    unsafe { transmute::<[f32; LANES], __m512>(signs) }
}
