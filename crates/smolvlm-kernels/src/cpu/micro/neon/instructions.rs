//! Multiply-add instructions. The intrinsics of those that not every processor has are not stable, so these are inline
//! assembly.

use super::by_element::ByElement;
use super::by_pair::ByPair;
use std::arch::aarch64::{
    float32x4_t, int16x8_t, int32x4_t, uint32x4_t, vandq_u32, vdupq_laneq_u32, vdupq_n_u32, veorq_u32, vfmaq_laneq_f32,
    vget_low_s8, vmlal_high_s8, vmlal_s8, vmull_high_s8, vmull_s8, vpadalq_s16, vreinterpretq_f32_u32,
    vreinterpretq_s8_u32, vshlq_n_u32,
};
use std::arch::asm;

/// f32 words.
pub(super) struct F32;

/// Pairs of bf16, converted to f32.
pub(super) struct WideBf16;

/// Pairs of bf16 (FEAT_BF16).
pub(super) struct Bf16;

/// Signed bytes of columns with an offset of 128, and those of rows, widened.
pub(super) struct WideBytes;

/// Nibbles of columns and signed bytes of rows, widened.
pub(super) struct WideNibbles;

/// Signed bytes (FEAT_DotProd). `FLIPPED` are the bits of columns that are flipped first: sign bits, to subtract an offset
/// of 128.
pub(super) struct SignedBytes<const FLIPPED: u32>;

/// Unsigned bytes of columns and signed ones of rows (FEAT_I8MM).
pub(super) struct MixedBytes;

/// The sign bits of four bytes.
pub(super) const SIGNS: u32 = 0x8080_8080;

/// Executes an instruction that adds to sums.
macro_rules! accumulate {
    ($instruction:literal, $sums:ident, $columns:ident, $rows:ident $(, lane = $lane:ident)?) => {{
        let mut sums = $sums;
        // SAFETY: the instruction reads and writes these registers only; the caller's processor has it.
        unsafe {
            asm!(
                $instruction,
                sums = inout(vreg) sums,
                columns = in(vreg) $columns,
                rows = in(vreg) $rows,
                $(lane = const $lane,)?
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sums
    }};
}

#[allow(unsafe_code)]
// SAFETY: every ARM64 processor has NEON.
unsafe impl ByElement for F32 {
    type Sums = float32x4_t;
    type Words = float32x4_t;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn convert(words: uint32x4_t) -> float32x4_t {
        vreinterpretq_f32_u32(words)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn multiply_add<const LANE: i32>(sums: float32x4_t, columns: float32x4_t, row: float32x4_t) -> float32x4_t {
        vfmaq_laneq_f32::<LANE>(sums, columns, row)
    }
}

#[allow(unsafe_code)]
// SAFETY: as for `F32`.
unsafe impl ByElement for WideBf16 {
    type Sums = float32x4_t;
    /// The values in the low halves of words, and those in the high halves.
    type Words = [float32x4_t; 2];

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn convert(words: uint32x4_t) -> [float32x4_t; 2] {
        widen(words)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn multiply_add<const LANE: i32>(
        sums: float32x4_t,
        columns: [float32x4_t; 2],
        row: [float32x4_t; 2],
    ) -> float32x4_t {
        vfmaq_laneq_f32::<LANE>(vfmaq_laneq_f32::<LANE>(sums, columns[0], row[0]), columns[1], row[1])
    }
}

/// Converts pairs of bf16 to f32: those in the low halves of words, and those in the high halves.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn widen(pairs: uint32x4_t) -> [float32x4_t; 2] {
    let high = vandq_u32(pairs, vdupq_n_u32(0xffff_0000));
    [vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs)), vreinterpretq_f32_u32(high)]
}

#[allow(unsafe_code)]
// SAFETY: for processors with the target feature only.
unsafe impl ByElement for Bf16 {
    type Sums = float32x4_t;
    type Words = uint32x4_t;

    #[inline]
    #[target_feature(enable = "neon,bf16")]
    unsafe fn convert(words: uint32x4_t) -> uint32x4_t {
        words
    }

    #[inline]
    #[target_feature(enable = "neon,bf16")]
    unsafe fn multiply_add<const LANE: i32>(sums: float32x4_t, columns: uint32x4_t, row: uint32x4_t) -> float32x4_t {
        accumulate!("bfdot {sums:v}.4s, {columns:v}.8h, {rows:v}.2h[{lane}]", sums, columns, row, lane = LANE)
    }
}

#[allow(unsafe_code)]
// SAFETY: as above.
unsafe impl ByPair for Bf16 {
    type Sums = float32x4_t;

    #[inline]
    #[target_feature(enable = "neon,bf16")]
    unsafe fn multiply_add(sums: float32x4_t, columns: uint32x4_t, rows: uint32x4_t) -> float32x4_t {
        accumulate!("bfmmla {sums:v}.4s, {columns:v}.8h, {rows:v}.8h", sums, columns, rows)
    }
}

#[allow(unsafe_code)]
// SAFETY: as for `F32`.
unsafe impl ByElement for WideBytes {
    /// Two sums per column, of two bytes of each step.
    type Sums = [int32x4_t; 2];
    type Words = uint32x4_t;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn convert(words: uint32x4_t) -> uint32x4_t {
        words
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn multiply_add<const LANE: i32>(
        [left, right]: [int32x4_t; 2],
        columns: uint32x4_t,
        row: uint32x4_t,
    ) -> [int32x4_t; 2] {
        let columns = vreinterpretq_s8_u32(veorq_u32(columns, vdupq_n_u32(SIGNS)));
        let row = vreinterpretq_s8_u32(vdupq_laneq_u32::<LANE>(row));
        let products = [vmull_s8(vget_low_s8(columns), vget_low_s8(row)), vmull_high_s8(columns, row)];
        [vpadalq_s16(left, products[0]), vpadalq_s16(right, products[1])]
    }
}

#[allow(unsafe_code)]
// SAFETY: as for `F32`.
unsafe impl ByElement for WideNibbles {
    /// Four sums per column, of one byte of each step. There is room for 17 products of a nibble and a byte.
    type Sums = [int16x8_t; 2];
    type Words = uint32x4_t;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn convert(words: uint32x4_t) -> uint32x4_t {
        words
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn multiply_add<const LANE: i32>(
        [left, right]: [int16x8_t; 2],
        columns: uint32x4_t,
        row: uint32x4_t,
    ) -> [int16x8_t; 2] {
        let columns = vreinterpretq_s8_u32(columns);
        let row = vreinterpretq_s8_u32(vdupq_laneq_u32::<LANE>(row));
        [vmlal_s8(left, vget_low_s8(columns), vget_low_s8(row)), vmlal_high_s8(right, columns, row)]
    }
}

#[allow(unsafe_code)]
// SAFETY: for processors with the target feature only.
unsafe impl<const FLIPPED: u32> ByElement for SignedBytes<FLIPPED> {
    type Sums = int32x4_t;
    type Words = uint32x4_t;

    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn convert(words: uint32x4_t) -> uint32x4_t {
        words
    }

    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn multiply_add<const LANE: i32>(sums: int32x4_t, columns: uint32x4_t, row: uint32x4_t) -> int32x4_t {
        let columns = veorq_u32(columns, vdupq_n_u32(FLIPPED));
        accumulate!("sdot {sums:v}.4s, {columns:v}.16b, {rows:v}.4b[{lane}]", sums, columns, row, lane = LANE)
    }
}

#[allow(unsafe_code)]
// SAFETY: as above.
unsafe impl ByElement for MixedBytes {
    type Sums = int32x4_t;
    type Words = uint32x4_t;

    #[inline]
    #[target_feature(enable = "neon,i8mm")]
    unsafe fn convert(words: uint32x4_t) -> uint32x4_t {
        words
    }

    #[inline]
    #[target_feature(enable = "neon,i8mm")]
    unsafe fn multiply_add<const LANE: i32>(sums: int32x4_t, columns: uint32x4_t, row: uint32x4_t) -> int32x4_t {
        accumulate!("usdot {sums:v}.4s, {columns:v}.16b, {rows:v}.4b[{lane}]", sums, columns, row, lane = LANE)
    }
}

#[allow(unsafe_code)]
// SAFETY: as above.
unsafe impl ByPair for MixedBytes {
    type Sums = int32x4_t;

    #[inline]
    #[target_feature(enable = "neon,i8mm")]
    unsafe fn multiply_add(sums: int32x4_t, columns: uint32x4_t, rows: uint32x4_t) -> int32x4_t {
        accumulate!("usmmla {sums:v}.4s, {columns:v}.16b, {rows:v}.16b", sums, columns, rows)
    }
}
