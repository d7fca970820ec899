//! Peak rates with the widest instructions of x86-64 processors.

use super::arithmetic::{Chains, chains};
use super::bandwidth::{fold, read_with};
use crate::cpu::{Isa, Level};
use std::arch::x86_64::{
    _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps,
    _mm256_xor_si256, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_set1_epi64, _mm512_set1_ps, _mm512_xor_si512,
};
use std::hint::black_box;

/// Number of chains with AVX-512, which has 32 registers.
const CHAINS: usize = 24;

/// Number of chains with AVX2, which has 16 registers.
const CHAINS_AVX2: usize = 12;

/// Bytes per register of AVX-512 and of AVX2.
const WIDTH: usize = 64;
const WIDTH_AVX2: usize = 32;

/// f32 multiply-adds; `None` without AVX-512 or AVX2 and FMA.
pub(super) fn fma_f32() -> Option<Chains> {
    #[expect(unsafe_code, reason = "functions for processors that have AVX-512, or AVX2 and FMA; see SAFETY")]
    match Isa::current().level {
        // SAFETY: the required features were detected on this processor.
        Level::Avx512 => Some(Chains {
            run: |rounds| unsafe { fma_avx512(rounds) },
            operations: 2 * CHAINS * WIDTH / size_of::<f32>(),
        }),
        // SAFETY: likewise.
        Level::Avx2 => Some(Chains {
            run: |rounds| unsafe { fma_avx2(rounds) },
            operations: 2 * CHAINS_AVX2 * WIDTH_AVX2 / size_of::<f32>(),
        }),
        Level::Baseline => None,
    }
}

/// bf16 dot products, of whole tiles where the processor has AMX; `None` without AMX or AVX512_BF16.
pub(super) fn dot_bf16() -> Option<Chains> {
    #[cfg(target_os = "linux")]
    if Isa::current().amx {
        return Some(super::amx::dot_bf16());
    }
    #[expect(unsafe_code, reason = "a function for processors that have AVX512_BF16; see SAFETY")]
    // SAFETY: the required features were detected on this processor.
    let run = |rounds| unsafe { dot_bf16_avx512(rounds) };
    Isa::current().bf16.then_some(Chains { run, operations: 2 * CHAINS * WIDTH / size_of::<u16>() })
}

/// 8-bit dot products; `None` without AVX512_VNNI or AVX-VNNI.
#[expect(unsafe_code, reason = "functions for processors that have AVX512_VNNI or AVX-VNNI; see SAFETY")]
pub(super) fn dot_int8() -> Option<Chains> {
    let isa = Isa::current();
    if isa.vnni {
        // SAFETY: the required features were detected on this processor.
        let run = |rounds| unsafe { dot_int8_avx512(rounds) };
        return Some(Chains { run, operations: 2 * CHAINS * WIDTH });
    }
    // SAFETY: likewise.
    let run = |rounds| unsafe { dot_int8_avx_vnni(rounds) };
    isa.avx_vnni.then_some(Chains { run, operations: 2 * CHAINS_AVX2 * WIDTH_AVX2 })
}

/// Memory read bandwidth in GB/s; `None` without AVX-512 or AVX2.
pub(super) fn read(threads: usize) -> Option<f64> {
    #[expect(unsafe_code, reason = "functions for processors that have AVX-512 or AVX2; see SAFETY")]
    match Isa::current().level {
        // SAFETY: the required features were detected on this processor.
        Level::Avx512 => Some(unsafe { read_avx512(threads) }),
        // SAFETY: likewise.
        Level::Avx2 => Some(unsafe { read_avx2(threads) }),
        Level::Baseline => None,
    }
}

#[target_feature(enable = "avx512f")]
fn fma_avx512(rounds: usize) {
    let (factor, term) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(1.0)));
    chains::<_, CHAINS>(rounds, term, |sum| _mm512_fmadd_ps(sum, factor, term));
}

#[target_feature(enable = "avx2,fma")]
fn fma_avx2(rounds: usize) {
    let (factor, term) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(1.0)));
    chains::<_, CHAINS_AVX2>(rounds, term, |sum| _mm256_fmadd_ps(sum, factor, term));
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn dot_bf16_avx512(rounds: usize) {
    let one = _mm512_set1_ps(black_box(1.0));
    let ones = _mm512_cvtne2ps_pbh(one, one);
    chains::<_, CHAINS>(rounds, one, |sum| _mm512_dpbf16_ps(sum, ones, ones));
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_int8_avx512(rounds: usize) {
    let ones = _mm512_set1_epi8(black_box(1));
    chains::<_, CHAINS>(rounds, _mm512_set1_epi32(0), |sum| _mm512_dpbusd_epi32(sum, ones, ones));
}

#[target_feature(enable = "avx2,avxvnni")]
fn dot_int8_avx_vnni(rounds: usize) {
    let ones = _mm256_set1_epi8(black_box(1));
    chains::<_, CHAINS_AVX2>(rounds, _mm256_set1_epi32(0), |sum| _mm256_dpbusd_avx_epi32(sum, ones, ones));
}

#[target_feature(enable = "avx512f")]
fn read_avx512(threads: usize) -> f64 {
    read_with(threads, _mm512_set1_epi64(1), |values| fold(values, |a, b| _mm512_xor_si512(a, b)))
}

#[target_feature(enable = "avx2")]
fn read_avx2(threads: usize) -> f64 {
    read_with(threads, _mm256_set1_epi64x(1), |values| fold(values, |a, b| _mm256_xor_si256(a, b)))
}

#[cfg(test)]
mod tests {
    use super::{dot_bf16, dot_int8, fma_avx2, fma_f32};

    #[test]
    fn supported_instructions_run() {
        for chains in [fma_f32(), dot_bf16(), dot_int8()].into_iter().flatten() {
            (chains.run)(3);
            assert!(chains.operations >= 2 * 8 * 12);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            #[expect(unsafe_code, reason = "a function for processors that have AVX2 and FMA; see SAFETY")]
            // SAFETY: the required features were detected on this processor.
            unsafe {
                fma_avx2(3);
            }
        }
    }
}
