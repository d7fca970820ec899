//! Microkernels for f32 and bf16.

use super::sub_tile::{FULL, LANES, SubTile};
use super::{by_element, by_pair};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{Operand, Tile};
use std::arch::aarch64::float32x4_t;

/// Number of vectors for half and a quarter of the columns of a panel.
const HALF: usize = FULL / 2;
const QUARTER: usize = FULL / 4;

#[expect(unsafe_code, reason = "every AArch64 processor has the instructions")]
pub(super) fn f32_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(6) {
        let sub_tile = SubTile::new(a, &mut out, first, 6);
        // SAFETY: `super` checked that panels and rows hold all steps.
        unsafe {
            match sub_tile.rows() {
                1 => f32_rows::<1, FULL>(sub_tile, panels, steps),
                2 => f32_rows::<2, FULL>(sub_tile, panels, steps),
                3 => f32_rows::<3, FULL>(sub_tile, panels, steps),
                4 => f32_rows::<4, HALF>(sub_tile, panels, steps),
                5 => f32_rows::<5, HALF>(sub_tile, panels, steps),
                _ => f32_rows::<6, HALF>(sub_tile, panels, steps),
            }
        }
    }
}

#[target_feature(enable = "neon")]
#[allow(unsafe_code)]
unsafe fn f32_rows<const R: usize, const V: usize>(sub_tile: SubTile, panels: &[&[CacheLine]], steps: usize) {
    // SAFETY: as required of the caller.
    unsafe { rows::<by_element::F32, R, V>(sub_tile, panels, steps) }
}

/// For processors without BF16.
#[expect(unsafe_code, reason = "every AArch64 processor has the instructions")]
pub(super) fn wide_bf16_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(4) {
        let sub_tile = SubTile::new(a, &mut out, first, 4);
        // SAFETY: as for `f32_tile`.
        unsafe {
            match sub_tile.rows() {
                1 => wide_bf16_rows::<1, FULL>(sub_tile, panels, steps),
                2 => wide_bf16_rows::<2, FULL>(sub_tile, panels, steps),
                3 => wide_bf16_rows::<3, HALF>(sub_tile, panels, steps),
                _ => wide_bf16_rows::<4, HALF>(sub_tile, panels, steps),
            }
        }
    }
}

#[target_feature(enable = "neon")]
#[allow(unsafe_code)]
unsafe fn wide_bf16_rows<const R: usize, const V: usize>(sub_tile: SubTile, panels: &[&[CacheLine]], steps: usize) {
    // SAFETY: as required of the caller.
    unsafe { rows::<by_element::WideBf16, R, V>(sub_tile, panels, steps) }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn bf16_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(8) {
        let sub_tile = SubTile::new(a, &mut out, first, 8);
        // SAFETY: as for `f32_tile`; `install` checked the instructions.
        unsafe {
            match sub_tile.rows() {
                1 => bf16_rows::<1, FULL>(sub_tile, panels, steps),
                2 => bf16_rows::<2, FULL>(sub_tile, panels, steps),
                3 | 4 => bf16_pairs::<2, HALF>(sub_tile, panels, steps),
                5 | 6 => bf16_pairs::<3, QUARTER>(sub_tile, panels, steps),
                _ => bf16_pairs::<4, QUARTER>(sub_tile, panels, steps),
            }
        }
    }
}

#[target_feature(enable = "neon,bf16")]
#[allow(unsafe_code)]
unsafe fn bf16_rows<const R: usize, const V: usize>(sub_tile: SubTile, panels: &[&[CacheLine]], steps: usize) {
    // SAFETY: as required of the caller.
    unsafe { rows::<by_element::Bf16, R, V>(sub_tile, panels, steps) }
}

#[target_feature(enable = "neon,bf16")]
#[allow(unsafe_code)]
unsafe fn bf16_pairs<const P: usize, const V: usize>(sub_tile: SubTile, panels: &[&[CacheLine]], steps: usize) {
    // SAFETY: as required of the caller.
    unsafe { pairs::<by_pair::Bf16, P, V>(sub_tile, panels, steps) }
}

/// Multiplies `R` rows with stacked panels, `V` vectors of columns at a time.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn rows<I: by_element::ByElement<Sums = float32x4_t>, const R: usize, const V: usize>(
    sub_tile: SubTile,
    panels: &[&[CacheLine]],
    steps: usize,
) {
    for first in (0..FULL).step_by(V) {
        // SAFETY: as required of the caller.
        unsafe {
            let mut sums = [[I::zero(); V]; R];
            for (index, panel) in panels.iter().enumerate() {
                let columns = panel.as_ptr().cast::<u32>().add(first * LANES);
                by_element::accumulate::<I, R, V>(&mut sums, sub_tile.skip(index * steps), columns, steps);
            }
            sub_tile.store(&sums, first);
        }
    }
}

/// Multiplies `P` pairs of rows with stacked panels, `V` vectors of columns at a time.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn pairs<I: by_pair::ByPair<Sums = float32x4_t>, const P: usize, const V: usize>(
    sub_tile: SubTile,
    panels: &[&[CacheLine]],
    steps: usize,
) {
    for first in (0..FULL).step_by(V) {
        // SAFETY: as required of the caller.
        unsafe {
            let mut sums = [[[I::zero(); 2]; V]; P];
            for (index, panel) in panels.iter().enumerate() {
                let columns = panel.as_ptr().cast::<u32>().add(first * LANES);
                by_pair::accumulate::<I, P, V>(&mut sums, sub_tile.skip(index * steps), columns, steps);
            }
            sub_tile.store_pairs(&sums, first);
        }
    }
}
