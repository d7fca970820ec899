//! The inner loops of JPEG decoding with AVX2, through `pulp`'s safe intrinsics.

use super::entropy::Block;
use super::frame::SIDE;
use super::simd::{FRACTION, JpegSimd, PIXELS, SHIFTS, factors};
use pulp::x86::V3;
#[cfg(target_arch = "x86")]
use std::arch::x86::{__m128i, __m256i};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m128i, __m256i};

impl JpegSimd for V3 {
    #[inline(always)]
    fn inverse_transform(self, block: &Block, steps: &Block) -> [[u8; SIDE]; SIDE] {
        let (sse, avx) = (self.sse2, self.avx);
        let coefficients: [__m128i; SIDE] = pulp::cast(*block);
        let steps: [__m128i; SIDE] = pulp::cast(*steps);
        let mut any = sse._mm_or_si128(coefficients[1], coefficients[2]);
        for row in &coefficients[3..] {
            any = sse._mm_or_si128(any, *row);
        }
        let mut rows = coefficients;
        for (row, step) in rows.iter_mut().zip(&steps) {
            *row = sse._mm_mullo_epi16(*row, *step);
        }
        let rows = if self.sse4_1._mm_testz_si128(any, any) != 0 {
            [sse._mm_slli_epi16::<2>(rows[0]); SIDE]
        } else {
            pass::<{ SHIFTS[0] }>(self, rows)
        };
        let rows = transpose(self, pass::<{ SHIFTS[1] }>(self, transpose(self, rows)));
        let center = avx._mm256_set1_epi8(-128);
        let mut out = [[0; SIDE]; SIDE];
        for (samples, rows) in out.as_chunks_mut::<4>().0.iter_mut().zip(rows.as_chunks::<4>().0) {
            let first = avx._mm256_set_m128i(rows[2], rows[0]);
            let second = avx._mm256_set_m128i(rows[3], rows[1]);
            *samples = pulp::cast(self.avx2._mm256_xor_si256(self.avx2._mm256_packs_epi16(first, second), center));
        }
        out
    }

    #[inline(always)]
    fn interleave(self, channels: [[u8; PIXELS]; 3]) -> [[u8; 3]; PIXELS] {
        let simd = self.avx2;
        let [red, green, blue]: [__m256i; 3] = pulp::cast(channels);
        // Within each half: distributes 16 pixels to three registers, each gathering the bytes of the channels that it
        // holds.
        let mut parts = [self.avx._mm256_setzero_si256(); 3];
        for (part, masks) in parts.iter_mut().zip(&PLACES) {
            let mut sum = self.avx._mm256_setzero_si256();
            for (channel, mask) in [red, green, blue].iter().zip(masks) {
                let mask: __m256i = pulp::cast([*mask; 2]);
                sum = simd._mm256_or_si256(sum, simd._mm256_shuffle_epi8(*channel, mask));
            }
            *part = sum;
        }
        pulp::cast([
            simd._mm256_permute2x128_si256::<0x20>(parts[0], parts[1]),
            simd._mm256_permute2x128_si256::<0x30>(parts[2], parts[0]),
            simd._mm256_permute2x128_si256::<0x31>(parts[1], parts[2]),
        ])
    }
}

/// For each third of 16 interleaved pixels and each channel: the pixel that a byte comes from, or 0x80.
const PLACES: [[[u8; 16]; 3]; 3] = {
    let mut indices = [[[0x80; 16]; 3]; 3];
    let mut at = 0;
    while at < 48 {
        indices[at / 16][at % 3][at % 16] = (at / 3) as u8;
        at += 1;
    }
    indices
};

/// Transforms columns of 16-bit integers.
#[inline(always)]
fn pass<const SHIFT: i32>(simd: V3, rows: [__m128i; SIDE]) -> [__m128i; SIDE] {
    let (sse, avx, avx2) = (simd.sse2, simd.avx, simd.avx2);
    let even = pair(simd, rows[2], rows[6]);
    let even = [dot(simd, even, factors::EVEN[0]), dot(simd, even, factors::EVEN[1])];
    let sum = avx2._mm256_slli_epi32::<FRACTION>(avx2._mm256_cvtepi16_epi32(sse._mm_add_epi16(rows[0], rows[4])));
    let difference =
        avx2._mm256_slli_epi32::<FRACTION>(avx2._mm256_cvtepi16_epi32(sse._mm_sub_epi16(rows[0], rows[4])));
    let evens = [
        avx2._mm256_add_epi32(sum, even[0]),
        avx2._mm256_add_epi32(difference, even[1]),
        avx2._mm256_sub_epi32(difference, even[1]),
        avx2._mm256_sub_epi32(sum, even[0]),
    ];
    let shared = pair(simd, sse._mm_add_epi16(rows[7], rows[3]), sse._mm_add_epi16(rows[5], rows[1]));
    let shared = [dot(simd, shared, factors::SHARED[0]), dot(simd, shared, factors::SHARED[1])];
    let (outer, inner) = (pair(simd, rows[7], rows[1]), pair(simd, rows[5], rows[3]));
    let odds = [
        avx2._mm256_add_epi32(dot(simd, outer, factors::OUTER[1]), shared[1]),
        avx2._mm256_add_epi32(dot(simd, inner, factors::INNER[1]), shared[0]),
        avx2._mm256_add_epi32(dot(simd, inner, factors::INNER[0]), shared[1]),
        avx2._mm256_add_epi32(dot(simd, outer, factors::OUTER[0]), shared[0]),
    ];
    let half = avx._mm256_set1_epi32(1 << (SHIFT - 1));
    let mut out = rows;
    for at in 0..4 {
        let even = avx2._mm256_add_epi32(evens[at], half);
        let first = avx2._mm256_srai_epi32::<SHIFT>(avx2._mm256_add_epi32(even, odds[at]));
        let last = avx2._mm256_srai_epi32::<SHIFT>(avx2._mm256_sub_epi32(even, odds[at]));
        // Packing saturates and leaves quarters in the order 0, 2, 1, 3.
        let packed: [__m128i; 2] =
            pulp::cast(avx2._mm256_permute4x64_epi64::<0xd8>(avx2._mm256_packs_epi32(first, last)));
        (out[at], out[SIDE - 1 - at]) = (packed[0], packed[1]);
    }
    out
}

/// Interleaves the values of two rows.
#[inline(always)]
fn pair(simd: V3, first: __m128i, second: __m128i) -> __m256i {
    let (low, high) = (simd.sse2._mm_unpacklo_epi16(first, second), simd.sse2._mm_unpackhi_epi16(first, second));
    simd.avx._mm256_set_m128i(high, low)
}

/// `first * factors.0 + second * factors.1` for each pair.
#[inline(always)]
fn dot(simd: V3, pairs: __m256i, factors: (i16, i16)) -> __m256i {
    let factors = i32::from(factors.1) << 16 | i32::from(factors.0 as u16);
    simd.avx2._mm256_madd_epi16(pairs, simd.avx._mm256_set1_epi32(factors))
}

#[inline(always)]
fn transpose(simd: V3, rows: [__m128i; SIDE]) -> [__m128i; SIDE] {
    let sse = simd.sse2;
    let mut rows = rows;
    // Interleaving the lower half with the upper one three times transposes 8 x 8.
    for _ in 0..3 {
        let old = rows;
        for at in 0..SIDE / 2 {
            rows[2 * at] = sse._mm_unpacklo_epi16(old[at], old[at + SIDE / 2]);
            rows[2 * at + 1] = sse._mm_unpackhi_epi16(old[at], old[at + SIDE / 2]);
        }
    }
    rows
}
