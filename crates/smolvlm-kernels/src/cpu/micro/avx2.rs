//! Microkernels for AVX2 and FMA, which accumulate in registers in the order of the portable kernels.
//!
//! Sixteen registers hold the sums of up to six rows and half of a panel's columns. Kernels for one or two rows process
//! all columns at once: they are memory-bound, so they read a panel once, sequentially.

use super::kernels::Kernels;
use super::{AHEAD, Operand, Q4_LINES, Q8_LINES, QuantParams, Tile, next_panel};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::isa::{Isa, Level};
use crate::{Q4_GROUP, Q8_GROUP};
use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256,
    _mm256_castsi256_ps, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_load_si256, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_setzero_si256, _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srai_epi16, _mm256_srli_epi16,
    _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256,
};

/// f32 values per vector.
const LANES: usize = 8;
/// Number of vectors for all columns of a panel, and for half of them.
const FULL: usize = 4;
const HALF: usize = 2;

/// Installs the kernels if the processor supports them.
pub(super) fn install(isa: Isa, kernels: &mut Kernels) {
    if isa.level >= Level::Avx2 {
        kernels.f32_tile = f32_tile;
        kernels.bf16_tile = bf16_tile;
        kernels.mixed_tile = mixed_tile;
        kernels.q8_tile = q8_tile;
        kernels.q4_tile = q4_tile;
    }
}

/// A group of rows of a tile, and the destination of their sums.
#[derive(Clone, Copy)]
struct SubTile {
    a: *const u32,
    a_stride: usize,
    out: *mut f32,
    out_stride: usize,
    /// Whether to prefetch weights, which with few rows come from memory; with more rows they come from the cache.
    prefetch: bool,
}

impl SubTile {
    /// The rows of a tile from `first`.
    fn new(a: Operand<'_>, out: &mut Tile<'_>, first: usize) -> Self {
        Self {
            a: a.words[first * a.stride..].as_ptr(),
            a_stride: a.stride,
            out: out.sums[first * out.stride..].as_mut_ptr(),
            out_stride: out.stride,
            prefetch: a.rows <= 8,
        }
    }

    /// Broadcasts the word of a row at a step.
    #[inline]
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    unsafe fn word(&self, row: usize, step: usize) -> __m256i {
        // SAFETY: the caller's rows have this step.
        unsafe { _mm256_set1_epi32(*self.a.add(row * self.a_stride + step) as i32) }
    }

    /// Prefetches a step of a panel that is read later.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn prefetch(&self, panel: *const CacheLine, step: usize) {
        if self.prefetch {
            let line = panel.wrapping_add(2 * step);
            _mm_prefetch::<_MM_HINT_T0>(line.cast());
            _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(1).cast());
        }
    }

    /// Writes the sums of `R` rows, starting at vector `first` of the columns.
    #[inline]
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    unsafe fn store<const R: usize, const V: usize>(&self, sums: &[[__m256; V]; R], first: usize) {
        for (row, sums) in sums.iter().enumerate() {
            for (vector, sum) in sums.iter().enumerate() {
                // SAFETY: the caller has room for `R` rows of 32 columns.
                unsafe { _mm256_storeu_ps(self.out.add(row * self.out_stride + (first + vector) * LANES), *sum) };
            }
        }
    }
}

/// Loads vector `vector` of a step of a panel.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code)]
unsafe fn weights(panel: *const CacheLine, step: usize, vector: usize) -> __m256i {
    // SAFETY: the caller's panel has this step; lines are aligned.
    unsafe { _mm256_load_si256(panel.add(2 * step).cast::<__m256i>().add(vector)) }
}

/// Calls the kernel instances that cover a sub-tile.
macro_rules! by_rows {
    ($rows:expr, $kernel:ident $args:tt, $($many:literal)*) => {
        match $rows {
            1 => by_rows!(@call $kernel::<1, FULL>, 0, $args),
            2 => by_rows!(@call $kernel::<2, FULL>, 0, $args),
            $($many => {
                by_rows!(@call $kernel::<$many, HALF>, 0, $args);
                by_rows!(@call $kernel::<$many, HALF>, HALF, $args);
            })*
            rows => unreachable!("a sub-tile of {rows} rows"),
        }
    };
    (@call $kernel:path, $first:expr, ($sub_tile:expr, $($arg:expr),*)) => {
        $kernel($sub_tile, $first, $($arg),*)
    };
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn f32_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(6) {
        let sub_tile = SubTile::new(a, &mut out, first);
        // SAFETY: `super` checked that panels and rows hold all steps, and `install` the instructions.
        unsafe { by_rows!(6.min(a.rows - first), f32_rows(sub_tile, panels, steps), 3 4 5 6) }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn bf16_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(4) {
        let sub_tile = SubTile::new(a, &mut out, first);
        // SAFETY: as for `f32_tile`.
        unsafe { by_rows!(4.min(a.rows - first), bf16_rows(sub_tile, panels, steps), 3 4) }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn mixed_tile(a: Operand<'_>, panel: &[CacheLine], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(4) {
        let sub_tile = SubTile::new(a, &mut out, first);
        // SAFETY: as for `f32_tile`.
        unsafe { by_rows!(4.min(a.rows - first), mixed_rows(sub_tile, panel.as_ptr(), steps), 3 4) }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn q8_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(4) {
        let sub_tile = SubTile::new(a, &mut out, first);
        let (q, panel) = (q.rows_from(first, groups), panel.as_ptr());
        // SAFETY: as for `f32_tile`; there are parameters for each row and group.
        unsafe {
            match a.rows - first {
                1 => q8_rows::<1>(sub_tile, panel, groups, q),
                2 => q8_rows::<2>(sub_tile, panel, groups, q),
                3 => q8_rows::<3>(sub_tile, panel, groups, q),
                _ => q8_rows::<4>(sub_tile, panel, groups, q),
            }
        }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn q4_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(4) {
        let sub_tile = SubTile::new(a, &mut out, first);
        let (q, panel) = (q.rows_from(first, groups), panel.as_ptr());
        // SAFETY: as for `q8_tile`.
        unsafe { by_rows!(4.min(a.rows - first), q4_rows(sub_tile, panel, groups, q), 3 4) }
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

/// Converts pairs of bf16 to f32: those in the low halves of words, and those in the high halves.
#[inline]
#[target_feature(enable = "avx2")]
fn wide(pairs: __m256i) -> [__m256; 2] {
    let high = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff_0000_u32 as i32));
    [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)), _mm256_castsi256_ps(high)]
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
        let mut columns = [[_mm256_setzero_ps(); 2]; V];
        for (vector, columns) in columns.iter_mut().enumerate() {
            // SAFETY: the step is in the panel.
            *columns = wide(unsafe { weights(panel, step, first + vector) });
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: both inputs are in the rows.
            let values = [0, 1].map(|half| _mm256_castsi256_ps(unsafe { sub_tile.word(row, 2 * step + half) }));
            for (sum, columns) in sums.iter_mut().zip(columns) {
                *sum = _mm256_fmadd_ps(values[1], columns[1], _mm256_fmadd_ps(values[0], columns[0], *sum));
            }
        }
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&sums, first) };
}

/// Multiplies 8-bit rows with 8-bit weights. Products with unsigned weights would overflow the 16-bit sums of
/// `maddubs`, so even and odd bytes are widened to 16 bits and multiplied separately: weights in the loop, rows once
/// for all columns.
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
unsafe fn q8_rows<const R: usize>(sub_tile: SubTile, panel: *const CacheLine, groups: usize, q: QuantParams<'_>) {
    const STEPS: usize = Q8_GROUP / 4;
    let mut wide = [[[0_i32; STEPS]; 2]; R];
    let mut values = [[_mm256_setzero_ps(); FULL]; R];
    for group in 0..groups {
        let lines = panel.wrapping_add(group * Q8_LINES);
        for (row, [even, odd]) in wide.iter_mut().enumerate() {
            // SAFETY: the row has the words of this group.
            unsafe { widen(sub_tile.a.add(row * sub_tile.a_stride + group * STEPS), even, odd) };
        }
        for first in [0, HALF] {
            let mut sums = [[_mm256_setzero_si256(); HALF]; R];
            for (row, sums) in sums.iter_mut().enumerate() {
                *sums = [_mm256_set1_epi32(q.offset[row * groups + group]); HALF];
            }
            for step in 0..STEPS {
                if first == 0 {
                    sub_tile.prefetch(lines.wrapping_add(2 * AHEAD), step);
                }
                let mut columns = [[_mm256_setzero_si256(); 2]; HALF];
                for (vector, columns) in columns.iter_mut().enumerate() {
                    // SAFETY: the step is in the panel.
                    let words = unsafe { weights(lines, step, first + vector) };
                    let even = _mm256_and_si256(words, _mm256_set1_epi16(0xff));
                    *columns = [even, _mm256_srli_epi16::<8>(words)];
                }
                for (sums, [even, odd]) in sums.iter_mut().zip(&wide) {
                    let (even, odd) = (_mm256_set1_epi32(even[step]), _mm256_set1_epi32(odd[step]));
                    for (sum, columns) in sums.iter_mut().zip(columns) {
                        let both = _mm256_add_epi32(*sum, _mm256_madd_epi16(even, columns[0]));
                        *sum = _mm256_add_epi32(both, _mm256_madd_epi16(odd, columns[1]));
                    }
                }
            }
            for (row, (values, sums)) in values.iter_mut().zip(sums).enumerate() {
                let scale = _mm256_set1_ps(q.scale[row * groups + group]);
                for (vector, sum) in sums.into_iter().enumerate() {
                    // SAFETY: the last line of a group holds its scales.
                    let scales = unsafe { column_scales(lines.add(Q8_LINES - 1), first + vector) };
                    let value = &mut values[first + vector];
                    *value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scales, scale), *value);
                }
            }
        }
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&values, 0) };
}

/// Reads the scales of vector `vector` of the columns; those of columns `c` and `c + 16` share a word.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code)]
unsafe fn column_scales(line: *const CacheLine, vector: usize) -> __m256 {
    // SAFETY: the caller has this line.
    let pairs = unsafe { _mm256_load_si256(line.cast::<__m256i>().add(vector % HALF)) };
    wide(pairs)[vector / HALF]
}

/// Widens the signed bytes of a group to 16 bits: the even bytes of each word to one word, the odd ones to another.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code)]
unsafe fn widen(words: *const u32, even: &mut [i32; Q8_GROUP / 4], odd: &mut [i32; Q8_GROUP / 4]) {
    for step in (0..Q8_GROUP / 4).step_by(LANES) {
        // SAFETY: the caller has a group of words.
        unsafe {
            let quads = _mm256_loadu_si256(words.add(step).cast());
            let low = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(quads));
            _mm256_storeu_si256(even[step..].as_mut_ptr().cast(), low);
            _mm256_storeu_si256(odd[step..].as_mut_ptr().cast(), _mm256_srai_epi16::<8>(quads));
        }
    }
}

/// Multiplies 8-bit rows with 4-bit weights, which are small enough for `maddubs`: the sums of a group, 8 steps of 2
/// products of at most 15 * 128, fit in 16 bits.
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
unsafe fn q4_rows<const R: usize, const V: usize>(
    sub_tile: SubTile,
    first: usize,
    panel: *const CacheLine,
    groups: usize,
    q: QuantParams<'_>,
) {
    /// Steps per group; two share a word, one in each nibble.
    const STEPS: usize = Q4_GROUP / 4;
    let nibble = _mm256_set1_epi32(0x0f0f_0f0f);
    let mut values = [[_mm256_setzero_ps(); V]; R];
    for group in 0..groups {
        let lines = panel.wrapping_add(group * Q4_LINES);
        let mut sums = [[_mm256_setzero_si256(); V]; R];
        for step in 0..STEPS / 2 {
            sub_tile.prefetch(lines.wrapping_add(2 * AHEAD), step);
            let mut columns = [[_mm256_setzero_si256(); 2]; V];
            for (vector, columns) in columns.iter_mut().enumerate() {
                // SAFETY: the step is in the group.
                let packed = unsafe { weights(lines, step, first + vector) };
                let later = _mm256_and_si256(_mm256_srli_epi32::<4>(packed), nibble);
                *columns = [_mm256_and_si256(packed, nibble), later];
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let step = group * STEPS + step;
                // SAFETY: both steps are in the row.
                let (quad, later) = unsafe { (sub_tile.word(row, step), sub_tile.word(row, step + STEPS / 2)) };
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    let both = _mm256_add_epi16(
                        _mm256_maddubs_epi16(columns[0], quad),
                        _mm256_maddubs_epi16(columns[1], later),
                    );
                    *sum = _mm256_add_epi16(*sum, both);
                }
            }
        }
        for (row, (values, sums)) in values.iter_mut().zip(sums).enumerate() {
            let index = row * groups + group;
            let (scale, total) = (_mm256_set1_ps(q.scale[index]), _mm256_set1_ps(q.offset[index] as f32));
            for (vector, (value, sum)) in values.iter_mut().zip(sums).enumerate() {
                // SAFETY: the last lines of a group hold its scales and minima.
                let [scales, minima] =
                    [2, 1].map(|line| unsafe { column_scales(lines.add(Q4_LINES - line), first + vector) });
                let sum = _mm256_cvtepi32_ps(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
                let group = _mm256_fmadd_ps(sum, scales, _mm256_mul_ps(total, minima));
                *value = _mm256_fmadd_ps(group, scale, *value);
            }
        }
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&values, first) };
}
