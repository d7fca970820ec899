//! Microkernels for 8-bit and 4-bit weights.
//!
//! The sums of a group are integers; scaled, they are added to f32 values.

use super::by_element::{self, ByElement};
use super::by_pair::{self, PairSums};
use super::instructions::{MixedBytes, SIGNS, SignedBytes, WideBytes, WideNibbles, widen};
use super::sub_tile::{FULL, HALF, LANES, QUARTER, SubTile, by_rows};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{Operand, Q4_LINES, Q8_LINES, QuantParams, Tile};
use crate::{Q4_GROUP, Q8_GROUP};
use std::arch::aarch64::{
    float32x4_t, int16x8_t, int32x4_t, uint32x4_t, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_s16, vdupq_n_s32, vfmaq_f32,
    vfmaq_n_f32, vld1q_s32, vld1q_u32, vmulq_n_f32, vpaddlq_s16, vpaddq_s32, vuzp1q_s32, vuzp2q_s32,
};

/// Steps per group.
const Q8_STEPS: usize = Q8_GROUP / 4;
const Q4_STEPS: usize = Q4_GROUP / 4;

/// Instructions for sums of bytes.
///
/// # Safety
///
/// As for [`ByElement`].
#[allow(unsafe_code)]
unsafe trait Bytes: ByElement<Words = uint32x4_t> {
    /// Sums that start at the negated contribution of the offset of columns, if the instruction does not subtract it.
    unsafe fn start(offset: i32) -> Self::Sums;
    /// One sum per column.
    unsafe fn totals(sums: Self::Sums) -> int32x4_t;
}

#[allow(unsafe_code)]
// SAFETY: every ARM64 processor has NEON.
unsafe impl Bytes for WideBytes {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn start(_offset: i32) -> [int32x4_t; 2] {
        [vdupq_n_s32(0); 2]
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn totals([left, right]: [int32x4_t; 2]) -> int32x4_t {
        vpaddq_s32(left, right)
    }
}

#[allow(unsafe_code)]
// SAFETY: as above.
unsafe impl Bytes for WideNibbles {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn start(_offset: i32) -> [int16x8_t; 2] {
        [vdupq_n_s16(0); 2]
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn totals([left, right]: [int16x8_t; 2]) -> int32x4_t {
        vpaddq_s32(vpaddlq_s16(left), vpaddlq_s16(right))
    }
}

#[allow(unsafe_code)]
// SAFETY: as above.
unsafe impl<const FLIPPED: u32> Bytes for SignedBytes<FLIPPED> {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn start(_offset: i32) -> int32x4_t {
        vdupq_n_s32(0)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn totals(sums: int32x4_t) -> int32x4_t {
        sums
    }
}

#[allow(unsafe_code)]
// SAFETY: as above.
unsafe impl Bytes for MixedBytes {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn start(offset: i32) -> int32x4_t {
        vdupq_n_s32(offset)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn totals(sums: int32x4_t) -> int32x4_t {
        sums
    }
}

/// Defines a kernel for tiles, of which it multiplies up to `$max` rows at a time.
macro_rules! tile {
    ($name:ident, $features:literal, $max:literal, $kernels:tt) => {
        #[expect(unsafe_code, reason = "installed only for processors with the instructions")]
        pub(super) fn $name(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, mut out: Tile<'_>) {
            let panel = panel.as_ptr();
            for first in (0..a.rows).step_by($max) {
                let (sub_tile, q) = (SubTile::new(a, &mut out, first, $max), q.rows_from(first, groups));
                // SAFETY: `super` checked that panel, rows and parameters hold all groups, and `install` the
                // instructions.
                unsafe {
                    by_rows!(
                        sub_tile.rows(),
                        $features,
                        (sub_tile: SubTile, panel: *const CacheLine, groups: usize, q: QuantParams<'_>),
                        (sub_tile, panel, groups, q),
                        $kernels
                    );
                }
            }
        }
    };
}

tile!(wide_q8_tile, "neon", 4, {
    1 => q8_rows::<WideBytes, 1, HALF>,
    2 => q8_rows::<WideBytes, 2, HALF>,
    3 => q8_rows::<WideBytes, 3, QUARTER>,
    _ => q8_rows::<WideBytes, 4, QUARTER>,
});
tile!(wide_q4_tile, "neon", 4, {
    1 => q4_rows::<WideNibbles, 1, HALF>,
    2 => q4_rows::<WideNibbles, 2, HALF>,
    3 => q4_rows::<WideNibbles, 3, QUARTER>,
    _ => q4_rows::<WideNibbles, 4, QUARTER>,
});
tile!(signed_q8_tile, "neon,dotprod", 4, {
    1 => q8_rows::<SignedBytes<SIGNS>, 1, FULL>,
    2 => q8_rows::<SignedBytes<SIGNS>, 2, FULL>,
    3 => q8_rows::<SignedBytes<SIGNS>, 3, HALF>,
    _ => q8_rows::<SignedBytes<SIGNS>, 4, HALF>,
});
tile!(signed_q4_tile, "neon,dotprod", 4, {
    1 => q4_rows::<SignedBytes<0>, 1, FULL>,
    2 => q4_rows::<SignedBytes<0>, 2, FULL>,
    3 => q4_rows::<SignedBytes<0>, 3, QUARTER>,
    _ => q4_rows::<SignedBytes<0>, 4, QUARTER>,
});
tile!(mixed_q8_tile, "neon,i8mm", 8, {
    1 => q8_rows::<MixedBytes, 1, FULL>,
    2 => q8_rows::<MixedBytes, 2, FULL>,
    3 | 4 => q8_pairs::<2, HALF>,
    5 | 6 => q8_pairs::<3, QUARTER>,
    _ => q8_pairs::<4, QUARTER>,
});
tile!(mixed_q4_tile, "neon,i8mm", 8, {
    1 => q4_rows::<MixedBytes, 1, FULL>,
    2 => q4_rows::<MixedBytes, 2, FULL>,
    3 | 4 => q4_pairs::<2, HALF>,
    5 | 6 => q4_pairs::<3, QUARTER>,
    _ => q4_pairs::<4, QUARTER>,
});

/// Multiplies `R` rows with 8-bit weights, `V` vectors of columns at a time.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn q8_rows<I: Bytes, const R: usize, const V: usize>(
    sub_tile: SubTile,
    panel: *const CacheLine,
    groups: usize,
    q: QuantParams<'_>,
) {
    for first in (0..FULL).step_by(V) {
        // SAFETY: as required of the caller.
        unsafe {
            let mut values = [[vdupq_n_f32(0.0); V]; R];
            for group in 0..groups {
                let lines = panel.add(group * Q8_LINES);
                let mut sums = [[I::start(0); V]; R];
                for row in 0..R {
                    let (_, offset) = parameters(q, row * groups + group);
                    sums[row] = [I::start(offset); V];
                }
                let columns = lines.cast::<u32>().add(first * LANES);
                by_element::accumulate::<I, R, V>(&mut sums, sub_tile.skip(group * Q8_STEPS), columns, Q8_STEPS);
                let scales = column_scales(lines.add(Q8_LINES - 1), first);
                for row in 0..R {
                    let (scale, _) = parameters(q, row * groups + group);
                    add_q8(&mut values[row], totals::<I, V>(&sums[row]), &scales, scale);
                }
            }
            for row in 0..R {
                sub_tile.store(row, &values[row], first);
            }
        }
    }
}

/// Multiplies `R` rows with 4-bit weights, `V` vectors of columns at a time.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn q4_rows<I: Bytes, const R: usize, const V: usize>(
    sub_tile: SubTile,
    panel: *const CacheLine,
    groups: usize,
    q: QuantParams<'_>,
) {
    for first in (0..FULL).step_by(V) {
        // SAFETY: as required of the caller.
        unsafe {
            let mut values = [[vdupq_n_f32(0.0); V]; R];
            for group in 0..groups {
                let lines = panel.add(group * Q4_LINES);
                let mut sums = [[I::start(0); V]; R];
                let columns = lines.cast::<u32>().add(first * LANES);
                by_element::accumulate_nibbles::<I, R, V>(&mut sums, sub_tile.skip(group * Q4_STEPS), columns);
                let scales = column_scales(lines.add(Q4_LINES - 2), first);
                let minima = column_scales(lines.add(Q4_LINES - 1), first);
                for row in 0..R {
                    let sums = totals::<I, V>(&sums[row]);
                    add_q4(&mut values[row], sums, &scales, &minima, parameters(q, row * groups + group));
                }
            }
            for row in 0..R {
                sub_tile.store(row, &values[row], first);
            }
        }
    }
}

/// Multiplies `P` pairs of rows with 8-bit weights, `V` vectors of columns at a time.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn q8_pairs<const P: usize, const V: usize>(
    sub_tile: SubTile,
    panel: *const CacheLine,
    groups: usize,
    q: QuantParams<'_>,
) {
    for first in (0..FULL).step_by(V) {
        // SAFETY: as required of the caller.
        unsafe {
            let mut values = [[[vdupq_n_f32(0.0); V]; 2]; P];
            for group in 0..groups {
                let lines = panel.add(group * Q8_LINES);
                let mut sums = [[[vdupq_n_s32(0); 2]; V]; P];
                for pair in 0..P {
                    let [upper, lower] = sub_tile.pair(pair);
                    let (_, upper) = parameters(q, upper * groups + group);
                    let (_, lower) = parameters(q, lower * groups + group);
                    sums[pair] = [[vld1q_s32([upper, lower, upper, lower].as_ptr()); 2]; V];
                }
                let columns = lines.cast::<u32>().add(first * LANES);
                let rows = sub_tile.skip(group * Q8_STEPS);
                by_pair::accumulate::<MixedBytes, P, V>(&mut sums, rows, columns, Q8_STEPS);
                let scales = column_scales(lines.add(Q8_LINES - 1), first);
                for pair in 0..P {
                    let (rows, sums) = (sub_tile.pair(pair), pair_totals(&sums[pair]));
                    for side in 0..2 {
                        let (scale, _) = parameters(q, rows[side] * groups + group);
                        add_q8(&mut values[pair][side], sums[side], &scales, scale);
                    }
                }
            }
            for pair in 0..P {
                sub_tile.store_pair(pair, &values[pair], first);
            }
        }
    }
}

/// Multiplies `P` pairs of rows with 4-bit weights, `V` vectors of columns at a time.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn q4_pairs<const P: usize, const V: usize>(
    sub_tile: SubTile,
    panel: *const CacheLine,
    groups: usize,
    q: QuantParams<'_>,
) {
    for first in (0..FULL).step_by(V) {
        // SAFETY: as required of the caller.
        unsafe {
            let mut values = [[[vdupq_n_f32(0.0); V]; 2]; P];
            for group in 0..groups {
                let lines = panel.add(group * Q4_LINES);
                let mut sums: PairSums<MixedBytes, P, V> = [[[vdupq_n_s32(0); 2]; V]; P];
                let columns = lines.cast::<u32>().add(first * LANES);
                let rows = sub_tile.skip(group * Q4_STEPS);
                by_pair::accumulate_nibbles::<MixedBytes, P, V>(&mut sums, rows, columns);
                let scales = column_scales(lines.add(Q4_LINES - 2), first);
                let minima = column_scales(lines.add(Q4_LINES - 1), first);
                for pair in 0..P {
                    let (rows, sums) = (sub_tile.pair(pair), pair_totals(&sums[pair]));
                    for side in 0..2 {
                        let parameters = parameters(q, rows[side] * groups + group);
                        add_q4(&mut values[pair][side], sums[side], &scales, &minima, parameters);
                    }
                }
            }
            for pair in 0..P {
                sub_tile.store_pair(pair, &values[pair], first);
            }
        }
    }
}

/// The scale and the offset of a row and group.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn parameters(q: QuantParams<'_>, index: usize) -> (f32, i32) {
    // SAFETY: the caller's rows and groups have parameters.
    unsafe { (*q.scale.get_unchecked(index), *q.offset.get_unchecked(index)) }
}

/// Reads the scales of `V` vectors of columns from vector `first`; those of columns `c` and `c + 16` share a word.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn column_scales<const V: usize>(line: *const CacheLine, first: usize) -> [float32x4_t; V] {
    // SAFETY: the caller has this line.
    unsafe {
        let mut scales = [vdupq_n_f32(0.0); V];
        for vector in 0..V {
            let words = vld1q_u32(line.cast::<u32>().add((first + vector) % HALF * LANES));
            scales[vector] = widen(words)[(first + vector) / HALF];
        }
        scales
    }
}

/// Adds the scaled sums of a group of 8-bit weights.
#[inline]
#[target_feature(enable = "neon")]
fn add_q8<const V: usize>(
    values: &mut [float32x4_t; V],
    sums: [int32x4_t; V],
    scales: &[float32x4_t; V],
    row_scale: f32,
) {
    for vector in 0..V {
        let scale = vmulq_n_f32(scales[vector], row_scale);
        values[vector] = vfmaq_f32(values[vector], vcvtq_f32_s32(sums[vector]), scale);
    }
}

/// Adds the scaled sums of a group of 4-bit weights, with the minima times the sum of the row's codes.
#[inline]
#[target_feature(enable = "neon")]
fn add_q4<const V: usize>(
    values: &mut [float32x4_t; V],
    sums: [int32x4_t; V],
    scales: &[float32x4_t; V],
    minima: &[float32x4_t; V],
    (row_scale, codes): (f32, i32),
) {
    for vector in 0..V {
        let minimum = vmulq_n_f32(minima[vector], codes as f32);
        let value = vfmaq_f32(minimum, vcvtq_f32_s32(sums[vector]), scales[vector]);
        values[vector] = vfmaq_n_f32(values[vector], value, row_scale);
    }
}

/// One sum per column of a row.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn totals<I: Bytes, const V: usize>(sums: &[I::Sums; V]) -> [int32x4_t; V] {
    // SAFETY: as required of the caller.
    unsafe {
        let mut totals = [vdupq_n_s32(0); V];
        for vector in 0..V {
            totals[vector] = I::totals(sums[vector]);
        }
        totals
    }
}

/// The sums of each row of a pair.
#[inline]
#[target_feature(enable = "neon")]
fn pair_totals<const V: usize>(sums: &[[int32x4_t; 2]; V]) -> [[int32x4_t; V]; 2] {
    let mut totals = [[vdupq_n_s32(0); V]; 2];
    for vector in 0..V {
        let [left, right] = sums[vector];
        totals[0][vector] = vuzp1q_s32(left, right);
        totals[1][vector] = vuzp2q_s32(left, right);
    }
    totals
}
