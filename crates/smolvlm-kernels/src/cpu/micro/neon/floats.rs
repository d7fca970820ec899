//! Microkernels for f32 and bf16.

use super::by_element::{self, ByElement};
use super::by_pair::{self, ByPair, PairSums};
use super::instructions::{Bf16, F32, WideBf16};
use super::sub_tile::{FULL, HALF, LANES, QUARTER, SubTile, by_rows};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{Operand, Tile};
use std::arch::aarch64::{float32x4_t, vdupq_n_f32, vuzp1q_f32, vuzp2q_f32};

/// Defines a kernel for tiles, of which it multiplies up to `$max` rows at a time.
macro_rules! tile {
    ($name:ident, $features:literal, $max:literal, $kernels:tt) => {
        #[expect(unsafe_code, reason = "installed only for processors with the instructions")]
        pub(super) fn $name(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, mut out: Tile<'_>) {
            for first in (0..a.rows).step_by($max) {
                let sub_tile = SubTile::new(a, &mut out, first, $max);
                // SAFETY: `super` checked that panels and rows hold all steps, and `install` the instructions.
                unsafe {
                    by_rows!(
                        sub_tile.rows(),
                        $features,
                        (sub_tile: SubTile, panels: &[&[CacheLine]], steps: usize),
                        (sub_tile, panels, steps),
                        $kernels
                    );
                }
            }
        }
    };
}

tile!(f32_tile, "neon", 6, {
    1 => rows::<F32, 1, FULL>,
    2 => rows::<F32, 2, FULL>,
    3 => rows::<F32, 3, FULL>,
    4 => rows::<F32, 4, HALF>,
    5 => rows::<F32, 5, HALF>,
    _ => rows::<F32, 6, HALF>,
});
tile!(wide_bf16_tile, "neon", 4, {
    1 => rows::<WideBf16, 1, FULL>,
    2 => rows::<WideBf16, 2, FULL>,
    3 => rows::<WideBf16, 3, HALF>,
    _ => rows::<WideBf16, 4, HALF>,
});
tile!(bf16_tile, "neon,bf16", 8, {
    1 => rows::<Bf16, 1, FULL>,
    2 => rows::<Bf16, 2, FULL>,
    3 | 4 => pairs::<Bf16, 2, HALF>,
    5 | 6 => pairs::<Bf16, 3, QUARTER>,
    _ => pairs::<Bf16, 4, QUARTER>,
});

/// Multiplies `R` rows with stacked panels, `V` vectors of columns at a time.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn rows<I: ByElement<Sums = float32x4_t>, const R: usize, const V: usize>(
    sub_tile: SubTile,
    panels: &[&[CacheLine]],
    steps: usize,
) {
    for first in (0..FULL).step_by(V) {
        // SAFETY: as required of the caller.
        unsafe {
            let mut sums = [[vdupq_n_f32(0.0); V]; R];
            for (index, panel) in panels.iter().enumerate() {
                let columns = panel.as_ptr().cast::<u32>().add(first * LANES);
                by_element::accumulate::<I, R, V>(&mut sums, sub_tile.skip(index * steps), columns, steps);
            }
            for row in 0..R {
                sub_tile.store(row, &sums[row], first);
            }
        }
    }
}

/// Multiplies `P` pairs of rows with stacked panels, `V` vectors of columns at a time.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn pairs<I: ByPair<Sums = float32x4_t>, const P: usize, const V: usize>(
    sub_tile: SubTile,
    panels: &[&[CacheLine]],
    steps: usize,
) {
    for first in (0..FULL).step_by(V) {
        // SAFETY: as required of the caller.
        unsafe {
            let mut sums: PairSums<I, P, V> = [[[vdupq_n_f32(0.0); 2]; V]; P];
            for (index, panel) in panels.iter().enumerate() {
                let columns = panel.as_ptr().cast::<u32>().add(first * LANES);
                by_pair::accumulate::<I, P, V>(&mut sums, sub_tile.skip(index * steps), columns, steps);
            }
            for pair in 0..P {
                let mut rows = [[vdupq_n_f32(0.0); V]; 2];
                for vector in 0..V {
                    let [left, right] = sums[pair][vector];
                    rows[0][vector] = vuzp1q_f32(left, right);
                    rows[1][vector] = vuzp2q_f32(left, right);
                }
                sub_tile.store_pair(pair, &rows, first);
            }
        }
    }
}
