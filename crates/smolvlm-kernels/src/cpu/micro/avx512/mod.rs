//! Kernels for AVX-512, with BF16 and VNNI where the processor has them.

mod dequantize;
mod hadamard;
mod math;
mod tiles;

use super::kernels::Kernels;
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::epilogue::{Region, narrow_rows};
use crate::cpu::isa::{Isa, Level};
use crate::cpu::micro::COLUMNS;
use crate::cpu::shared_slice::SharedSlice;
use crate::cpu::softmax::RowStats;
use half::bf16;

/// Installs the kernels that the processor supports.
pub(super) fn install(isa: Isa, kernels: &mut Kernels) {
    if isa.level >= Level::Avx512 {
        kernels.f32_tile = tiles::f32_tile;
        kernels.mixed_tile = tiles::mixed_tile;
        kernels.widens = true;
        kernels.hadamard = hadamard;
        kernels.silu = silu;
        kernels.gelu_tanh = gelu_tanh;
        kernels.softmax_f32 = softmax_f32;
    }
    if isa.bf16 {
        kernels.bf16_tile = tiles::bf16_tile;
        kernels.softmax_bf16 = softmax_bf16;
        kernels.narrow_rows = narrow_rows_bf16;
    }
    if isa.vnni {
        kernels.q8_tile = tiles::q8_tile;
        kernels.q4_tile = tiles::q4_tile;
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn q8_to_bf16(panel: &[CacheLine], out: &mut [CacheLine]) {
    // SAFETY: `amx::install` has checked the instructions: all processors with AMX have AVX512-BF16.
    unsafe { dequantize::q8_to_bf16(panel, out) }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn q4_to_bf16(panel: &[CacheLine], out: &mut [CacheLine]) {
    // SAFETY: as for `q8_to_bf16`.
    unsafe { dequantize::q4_to_bf16(panel, out) }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn hadamard(values: &mut [f32]) {
    // SAFETY: `install` has checked the instructions.
    unsafe { hadamard::hadamard(values) }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn silu(values: &mut [f32]) {
    // SAFETY: `install` has checked the instructions.
    unsafe { math::silu(values) }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn gelu_tanh(values: &mut [f32]) {
    // SAFETY: `install` has checked the instructions.
    unsafe { math::gelu_tanh(values) }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn softmax_f32(scores: &[f32], scale: f32, weights: &mut [f32]) -> RowStats {
    assert_eq!(scores.len(), weights.len(), "as many weights as scores");
    // SAFETY: `install` has checked the instructions; there are as many weights as scores.
    unsafe { math::softmax_f32(scores, scale, weights.as_mut_ptr()) }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn softmax_bf16(scores: &[f32], scale: f32, weights: &mut [bf16]) -> RowStats {
    assert_eq!(scores.len(), weights.len(), "as many weights as scores");
    // SAFETY: as for `softmax_f32`.
    unsafe { math::softmax_bf16(scores, scale, weights.as_mut_ptr().cast()) }
}

/// # Safety
///
/// As [`Region::rows`].
#[allow(unsafe_code)]
unsafe fn narrow_rows_bf16(sums: &[f32], stride: usize, region: Region, out: SharedSlice<'_, bf16>) {
    if region.rows == 0 || region.columns > COLUMNS || sums.len() < (region.rows - 1) * stride + COLUMNS {
        // SAFETY: as required of the caller.
        return unsafe { narrow_rows(sums, stride, region, out) };
    }
    // SAFETY: `install` has checked the instructions; each row has 32 sums, and the caller has exclusive access.
    unsafe { math::narrow_rows(sums, stride, region, out) }
}
