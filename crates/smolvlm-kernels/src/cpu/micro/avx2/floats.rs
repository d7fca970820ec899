//! Products of f32 and bf16.

use super::{FULL, HALF, SubTile, weights, wide};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{AHEAD, Operand, Tile, next_panel};
use std::arch::x86_64::{_mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_setzero_ps};

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn f32_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(6) {
        let sub_tile = SubTile::new(a, &mut out, first);
        // SAFETY: `micro` checked that panels and rows hold all steps, and `install` the instructions.
        unsafe { by_rows!(6.min(a.rows - first), f32_rows(sub_tile, panels, steps), 3 4 5 6) }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn bf16_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(4) {
        let sub_tile = SubTile::new(a, &mut out, first);
        // SAFETY: as for `f32_tile`.
        unsafe { by_rows!(4.min(a.rows - first), bf16_rows(sub_tile, panels, steps), 3 4) }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn mixed_tile(a: Operand<'_>, panel: &[CacheLine], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(6) {
        let sub_tile = SubTile::new(a, &mut out, first);
        // SAFETY: as for `f32_tile`.
        unsafe { by_rows!(6.min(a.rows - first), mixed_rows(sub_tile, panel.as_ptr(), steps), 3 4 5 6) }
    }
}

#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
unsafe fn f32_rows<const R: usize, const V: usize>(
    sub_tile: SubTile,
    first: usize,
    panels: &[&[CacheLine]],
    steps: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); V]; R];
    for (index, panel) in panels.iter().map(|panel| panel.as_ptr()).enumerate() {
        let sub_tile = SubTile { a: sub_tile.a.wrapping_add(index * steps), ..sub_tile };
        let next = next_panel(panels, index);
        for step in 0..steps {
            sub_tile.prefetch(next, step);
            let mut columns = [_mm256_setzero_ps(); V];
            for (vector, columns) in columns.iter_mut().enumerate() {
                // SAFETY: the step is in the panel.
                *columns = _mm256_castsi256_ps(unsafe { weights(panel, step, first + vector) });
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the step is in the rows.
                let value = _mm256_castsi256_ps(unsafe { sub_tile.word(row, step) });
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    *sum = _mm256_fmadd_ps(value, columns, *sum);
                }
            }
        }
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&sums, first) };
}

#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
unsafe fn bf16_rows<const R: usize, const V: usize>(
    sub_tile: SubTile,
    first: usize,
    panels: &[&[CacheLine]],
    steps: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); V]; R];
    for (index, panel) in panels.iter().map(|panel| panel.as_ptr()).enumerate() {
        let sub_tile = SubTile { a: sub_tile.a.wrapping_add(index * steps), ..sub_tile };
        let next = next_panel(panels, index);
        for step in 0..steps {
            sub_tile.prefetch(next, step);
            let mut columns = [[_mm256_setzero_ps(); 2]; V];
            for (vector, columns) in columns.iter_mut().enumerate() {
                // SAFETY: the step is in the panel.
                *columns = wide(unsafe { weights(panel, step, first + vector) });
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the step is in the rows.
                let [low, high] = wide(unsafe { sub_tile.word(row, step) });
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    *sum = _mm256_fmadd_ps(high, columns[1], _mm256_fmadd_ps(low, columns[0], *sum));
                }
            }
        }
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&sums, first) };
}

#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
unsafe fn mixed_rows<const R: usize, const V: usize>(
    sub_tile: SubTile,
    first: usize,
    panel: *const CacheLine,
    steps: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); V]; R];
    for step in 0..steps {
        sub_tile.prefetch(panel.wrapping_add(2 * AHEAD), step);
        // One half after the other: both at once need more registers than there are.
        for half in 0..2 {
            let mut columns = [_mm256_setzero_ps(); V];
            for (vector, columns) in columns.iter_mut().enumerate() {
                // SAFETY: the step is in the panel.
                *columns = wide(unsafe { weights(panel, step, first + vector) })[half];
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: both inputs are in the rows.
                let value = _mm256_castsi256_ps(unsafe { sub_tile.word(row, 2 * step + half) });
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    *sum = _mm256_fmadd_ps(value, columns, *sum);
                }
            }
        }
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&sums, first) };
}
