//! The inner loops of resizing with AVX2, through `pulp`'s safe intrinsics.
//!
//! No closures: only code inlined into the function compiled for AVX2 is vectorized.

use crate::simd::{BLOCK, SQUARE, Simd};
use pulp::x86::V3;
#[cfg(target_arch = "x86")]
use std::arch::x86::__m256i;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256i;

impl Simd for V3 {
    #[inline(always)]
    fn weighted_sum(self, rows: &[u8], stride: usize, taps: &[i16], bits: u32) -> [u8; BLOCK] {
        let (avx, simd) = (self.avx, self.avx2);
        let zero = avx._mm256_setzero_si256();
        let mut sums = [avx._mm256_set1_epi32(1 << (bits - 1)); 4];
        let mut at = 0;
        // Two taps at a time; an odd last one is paired with a weight of zero.
        for pair in taps.chunks(2) {
            let (a, b, taps) = match *pair {
                [first, second] => {
                    (load(rows, at), load(rows, at + stride), i32::from(second) << 16 | i32::from(first as u16))
                }
                _ => (load(rows, at), zero, i32::from(pair[0] as u16)),
            };
            let taps = avx._mm256_set1_epi32(taps);
            let low = simd._mm256_unpacklo_epi8(a, b);
            let high = simd._mm256_unpackhi_epi8(a, b);
            sums[0] =
                simd._mm256_add_epi32(sums[0], simd._mm256_madd_epi16(simd._mm256_unpacklo_epi8(low, zero), taps));
            sums[1] =
                simd._mm256_add_epi32(sums[1], simd._mm256_madd_epi16(simd._mm256_unpackhi_epi8(low, zero), taps));
            sums[2] =
                simd._mm256_add_epi32(sums[2], simd._mm256_madd_epi16(simd._mm256_unpacklo_epi8(high, zero), taps));
            sums[3] =
                simd._mm256_add_epi32(sums[3], simd._mm256_madd_epi16(simd._mm256_unpackhi_epi8(high, zero), taps));
            at += 2 * stride;
        }
        let shift = self.sse2._mm_cvtsi32_si128(bits as i32);
        for sum in &mut sums {
            *sum = simd._mm256_sra_epi32(*sum, shift);
        }
        // Both packing steps saturate.
        let low = simd._mm256_packs_epi32(sums[0], sums[1]);
        let high = simd._mm256_packs_epi32(sums[2], sums[3]);
        pulp::cast(simd._mm256_packus_epi16(low, high))
    }

    #[inline(always)]
    fn transpose(self, squares: [[u8; BLOCK]; SQUARE]) -> [[u8; BLOCK]; SQUARE] {
        let simd = self.avx2;
        let mut rows: [__m256i; SQUARE] = pulp::cast(squares);
        // Interleaving the lower half with the upper one four times transposes 16 x 16.
        for _ in 0..4 {
            let old = rows;
            for index in 0..SQUARE / 2 {
                let (a, b) = (old[index], old[index + SQUARE / 2]);
                rows[2 * index] = simd._mm256_unpacklo_epi8(a, b);
                rows[2 * index + 1] = simd._mm256_unpackhi_epi8(a, b);
            }
        }
        pulp::cast(rows)
    }
}

#[inline(always)]
fn load(rows: &[u8], at: usize) -> __m256i {
    let mut block = [0; BLOCK];
    block.copy_from_slice(&rows[at..at + BLOCK]);
    pulp::cast(block)
}
