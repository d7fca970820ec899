//! Conversion of quantized panels to bf16.

use super::tiles::column_scales;
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{Q4_LINES, Q8_LINES};
use crate::{Q4_GROUP, Q8_GROUP};
use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm_cvtsi32_si128, _mm512_and_si512, _mm512_castsi512_ps, _mm512_cvtne2ps_pbh,
    _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_load_si512, _mm512_mul_ps, _mm512_or_si512, _mm512_permutexvar_epi16,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_sll_epi32, _mm512_srl_epi32, _mm512_store_si512,
};
use std::mem::transmute;

/// Converts a panel of 8-bit weights.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn q8_to_bf16(panel: &[CacheLine], out: &mut [CacheLine]) {
    let groups = panel.as_chunks::<Q8_LINES>().0.iter().zip(out.as_chunks_mut::<Q8_GROUP>().0);
    for (group, out) in groups {
        let scales = column_scales(&group[Q8_LINES - 1]);
        // Codes have an offset of 128, and `float_code` adds 256.
        let offsets = scales.map(|scale| _mm512_mul_ps(scale, _mm512_set1_ps(-384.0)));
        for (step, pairs) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            for half in 0..2 {
                let words = load(&group[2 * step + half]);
                let value = |shift| _mm512_fmadd_ps(float_code::<8>(words, shift), scales[half], offsets[half]);
                store(&mut pairs[half], value(0), value(8));
                store(&mut pairs[2 + half], value(16), value(24));
            }
        }
    }
}

/// Converts a panel of 4-bit weights.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn q4_to_bf16(panel: &[CacheLine], out: &mut [CacheLine]) {
    let groups = panel.as_chunks::<Q4_LINES>().0.iter().zip(out.as_chunks_mut::<Q4_GROUP>().0);
    for (group, out) in groups {
        let (scales, minima) = (column_scales(&group[Q4_LINES - 2]), column_scales(&group[Q4_LINES - 1]));
        // `float_code` adds 16.
        let offset = |half: usize| _mm512_fnmadd_ps(scales[half], _mm512_set1_ps(16.0), minima[half]);
        let offsets = [offset(0), offset(1)];
        let (early, late) = out.split_at_mut(Q4_GROUP / 2);
        let pairs = early.as_chunks_mut::<4>().0.iter_mut().zip(late.as_chunks_mut::<4>().0);
        for (step, (early, late)) in pairs.enumerate() {
            for half in 0..2 {
                let words = load(&group[2 * step + half]);
                let value = |shift| _mm512_fmadd_ps(float_code::<4>(words, shift), scales[half], offsets[half]);
                store(&mut early[half], value(0), value(8));
                store(&mut early[2 + half], value(16), value(24));
                store(&mut late[half], value(4), value(12));
                store(&mut late[2 + half], value(20), value(28));
            }
        }
    }
}

/// `2^BITS` plus the code at bit `shift` of each word: a conversion to f32 without an instruction of its own, since the
/// code is written to the first bits of the mantissa.
#[inline]
#[target_feature(enable = "avx512f")]
fn float_code<const BITS: i32>(words: __m512i, shift: i32) -> __m512 {
    let (mantissa, exponent) = (23 - BITS, (127 + BITS) << 23);
    let placed = if mantissa >= shift {
        _mm512_sll_epi32(words, _mm_cvtsi32_si128(mantissa - shift))
    } else {
        _mm512_srl_epi32(words, _mm_cvtsi32_si128(shift - mantissa))
    };
    let code = _mm512_and_si512(placed, _mm512_set1_epi32(((1 << BITS) - 1) << mantissa));
    _mm512_castsi512_ps(_mm512_or_si512(code, _mm512_set1_epi32(exponent)))
}

#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn load(line: &CacheLine) -> __m512i {
    // SAFETY: cache lines have the size and the alignment of vectors.
    unsafe { _mm512_load_si512((&raw const *line).cast()) }
}

/// Rounds the values of two inputs for 16 columns to bf16 and stores them as pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[allow(unsafe_code)]
fn store(line: &mut CacheLine, first: __m512, second: __m512) {
    /// Interleaves the halves of a vector.
    const INTERLEAVE: [u16; 32] = {
        let mut indices = [0; 32];
        let mut column = 0;
        while column < 16 {
            (indices[2 * column], indices[2 * column + 1]) = (column as u16, 16 + column as u16);
            column += 1;
        }
        indices
    };
    // SAFETY: the types have the same size, all bit patterns are valid, and cache lines are as in `load`.
    unsafe {
        let halves = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
        let pairs = _mm512_permutexvar_epi16(transmute::<[u16; 32], __m512i>(INTERLEAVE), halves);
        _mm512_store_si512((&raw mut *line).cast(), pairs);
    }
}
