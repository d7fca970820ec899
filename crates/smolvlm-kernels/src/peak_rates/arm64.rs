//! Peak rates with the matrix and dot product instructions of ARM64 processors. Their intrinsics are not stable, so these
//! are inline assembly. Portable code reaches the peak rate of f32.

use super::arithmetic::{Chains, chains};
use crate::cpu::Isa;
use std::arch::aarch64::{vdupq_n_f32, vdupq_n_s32, vdupq_n_u32};
use std::arch::asm;
use std::hint::black_box;

/// Number of chains: there are 32 registers.
const CHAINS: usize = 24;

/// The portable f32 multiply-adds.
pub(super) fn fma_f32() -> Option<Chains> {
    None
}

/// bf16 products of 2x4 and 4x2 matrices; `None` without FEAT_BF16.
pub(super) fn dot_bf16() -> Option<Chains> {
    if !Isa::current().bf16 {
        return None;
    }
    #[expect(unsafe_code, reason = "a function for processors that have FEAT_BF16; see SAFETY")]
    // SAFETY: the required features were detected on this processor.
    let run = |rounds| unsafe { bfmmla(rounds) };
    Some(Chains { run, operations: 2 * CHAINS * 16 })
}

/// 8-bit products of 2x8 and 8x2 matrices, or dot products of four bytes; `None` without FEAT_I8MM and FEAT_DotProd.
pub(super) fn dot_int8() -> Option<Chains> {
    if Isa::current().i8mm {
        #[expect(unsafe_code, reason = "a function for processors that have FEAT_I8MM; see SAFETY")]
        // SAFETY: the required features were detected on this processor.
        let run = |rounds| unsafe { usmmla(rounds) };
        return Some(Chains { run, operations: 2 * CHAINS * 32 });
    }
    if Isa::current().dotprod {
        #[expect(unsafe_code, reason = "a function for processors that have FEAT_DotProd; see SAFETY")]
        // SAFETY: the required features were detected on this processor.
        let run = |rounds| unsafe { sdot(rounds) };
        return Some(Chains { run, operations: 2 * CHAINS * 16 });
    }
    None
}

/// The portable memory read.
pub(super) fn read(_threads: usize) -> Option<f64> {
    None
}

/// Defines chains of an instruction, of sums and of words that are both operands.
macro_rules! chains_of {
    ($name:ident, $features:literal, $instruction:literal, $sums:expr, $words:literal) => {
        #[target_feature(enable = $features)]
        #[allow(unsafe_code)]
        fn $name(rounds: usize) {
            let words = vdupq_n_u32(black_box($words));
            chains::<_, CHAINS>(rounds, $sums, |mut sums| {
                // SAFETY: the instruction reads and writes these registers only.
                unsafe {
                    asm!(
                        $instruction,
                        sums = inout(vreg) sums,
                        words = in(vreg) words,
                        options(pure, nomem, nostack, preserves_flags)
                    );
                }
                sums
            });
        }
    };
}

chains_of!(bfmmla, "neon,bf16", "bfmmla {sums:v}.4s, {words:v}.8h, {words:v}.8h", vdupq_n_f32(0.0), 0x3f80_3f80);
chains_of!(usmmla, "neon,i8mm", "usmmla {sums:v}.4s, {words:v}.16b, {words:v}.16b", vdupq_n_s32(0), 0x0101_0101);
chains_of!(sdot, "neon,dotprod", "sdot {sums:v}.4s, {words:v}.16b, {words:v}.16b", vdupq_n_s32(0), 0x0101_0101);

#[cfg(test)]
mod tests {
    use super::{CHAINS, dot_bf16, dot_int8};

    #[test]
    fn supported_instructions_run() {
        for chains in [dot_bf16(), dot_int8()].into_iter().flatten() {
            (chains.run)(3);
            assert!(chains.operations >= 2 * CHAINS * 16);
        }
    }
}
