//! Microkernels for AVX2 and FMA, which accumulate in registers in the order of the portable kernels.
//!
//! Sixteen registers hold the sums of up to six rows and half of a panel's columns. Kernels for one or two rows process
//! all columns at once: they are memory-bound, so they read a panel once, sequentially.

use super::kernels::Kernels;
use super::{AHEAD, GROUP_LINES, Operand, QuantParams, Tile, next_panel};
use crate::GROUP;
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::isa::{Isa, Level};
use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256,
    _mm256_castsi256_ps, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_load_si256, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srai_epi16,
    _mm256_srli_epi16, _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256,
};
use std::mem::MaybeUninit;

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
fn q8_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], scales: &[f32], steps: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(4) {
        let sub_tile = SubTile::new(a, &mut out, first);
        let rows = 4.min(a.rows - first);
        let (zero, scale) = (&q.zero[first..][..rows], &q.scale[first..][..rows]);
        // SAFETY: as for `f32_tile`; there are 32 scales, and a zero and a scale for each row.
        unsafe {
            match rows {
                1 => q8_rows::<1>(sub_tile, panel.as_ptr(), steps, zero, scale, scales.as_ptr()),
                2 => q8_rows::<2>(sub_tile, panel.as_ptr(), steps, zero, scale, scales.as_ptr()),
                3 => q8_rows::<3>(sub_tile, panel.as_ptr(), steps, zero, scale, scales.as_ptr()),
                _ => q8_rows::<4>(sub_tile, panel.as_ptr(), steps, zero, scale, scales.as_ptr()),
            }
        }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
fn q4_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, mut out: Tile<'_>) {
    for first in (0..a.rows).step_by(4) {
        let sub_tile = SubTile::new(a, &mut out, first);
        let (zero, scale) = (q.zero[first * groups..].as_ptr(), q.scale[first..].as_ptr());
        // SAFETY: as for `f32_tile`; there is a zero for each row and group, a scale for each row.
        unsafe { by_rows!(4.min(a.rows - first), q4_rows(sub_tile, panel.as_ptr(), groups, zero, scale), 3 4) }
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

/// Multiplies 8-bit rows with 8-bit weights. Products with unsigned weights would overflow the 16-bit sums of
/// `maddubs`, so even and odd bytes are widened to 16 bits and multiplied separately: weights in the loop, rows once
/// for all columns.
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
unsafe fn q8_rows<const R: usize>(
    sub_tile: SubTile,
    panel: *const CacheLine,
    steps: usize,
    zero: &[i32],
    scale: &[f32],
    scales: *const f32,
) {
    /// Steps widened at a time, into a buffer that stays in the cache.
    const CHUNK: usize = 256;
    let mut wide = [const { [MaybeUninit::<[u32; CHUNK]>::uninit(); 2] }; R];
    let mut sums = [[_mm256_setzero_si256(); FULL]; R];
    for (sums, zero) in sums.iter_mut().zip(zero) {
        *sums = [_mm256_set1_epi32(*zero); FULL];
    }
    for start in (0..steps).step_by(CHUNK) {
        let count = CHUNK.min(steps - start);
        for (row, wide) in wide.iter_mut().enumerate() {
            let [even, odd] = wide.each_mut().map(|half| half.as_mut_ptr().cast::<u32>());
            // SAFETY: the row has `steps` words, and each half has room for a chunk.
            unsafe { widen(sub_tile.a.add(row * sub_tile.a_stride + start), count, even, odd) };
        }
        let halves = wide.each_ref().map(|row| row.each_ref().map(|half| half.as_ptr().cast::<i32>()));
        for first in [0, HALF] {
            let mut kept = [[_mm256_setzero_si256(); HALF]; R];
            for (kept, sums) in kept.iter_mut().zip(&sums) {
                kept.copy_from_slice(&sums[first..][..HALF]);
            }
            for step in 0..count {
                if first == 0 {
                    sub_tile.prefetch(panel.wrapping_add(2 * AHEAD), start + step);
                }
                let mut columns = [[_mm256_setzero_si256(); 2]; HALF];
                for (vector, columns) in columns.iter_mut().enumerate() {
                    // SAFETY: the step is in the panel.
                    let words = unsafe { weights(panel, start + step, first + vector) };
                    let even = _mm256_and_si256(words, _mm256_set1_epi16(0xff));
                    *columns = [even, _mm256_srli_epi16::<8>(words)];
                }
                for (kept, [even, odd]) in kept.iter_mut().zip(halves) {
                    // SAFETY: the chunk has this step, and was written above.
                    let (even, odd) =
                        unsafe { (_mm256_set1_epi32(*even.add(step)), _mm256_set1_epi32(*odd.add(step))) };
                    for (kept, columns) in kept.iter_mut().zip(columns) {
                        let sum = _mm256_add_epi32(*kept, _mm256_madd_epi16(even, columns[0]));
                        *kept = _mm256_add_epi32(sum, _mm256_madd_epi16(odd, columns[1]));
                    }
                }
            }
            for (kept, sums) in kept.iter().zip(&mut sums) {
                sums[first..][..HALF].copy_from_slice(kept);
            }
        }
    }
    let mut values = [[_mm256_setzero_ps(); FULL]; R];
    for (row, values) in values.iter_mut().enumerate() {
        for (vector, value) in values.iter_mut().enumerate() {
            // SAFETY: there are 32 scales.
            let columns = unsafe { _mm256_loadu_ps(scales.add(vector * LANES)) };
            let sum = _mm256_cvtepi32_ps(sums[row][vector]);
            *value = _mm256_mul_ps(sum, _mm256_mul_ps(_mm256_set1_ps(scale[row]), columns));
        }
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&values, 0) };
}

/// Widens signed bytes to 16 bits: the even bytes of each word to one word, the odd ones to another.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code)]
unsafe fn widen(words: *const u32, count: usize, even: *mut u32, odd: *mut u32) {
    let whole = count - count % LANES;
    for step in (0..whole).step_by(LANES) {
        // SAFETY: the caller has `count` words in all three buffers.
        unsafe {
            let quads = _mm256_loadu_si256(words.add(step).cast());
            let low = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(quads));
            _mm256_storeu_si256(even.add(step).cast(), low);
            _mm256_storeu_si256(odd.add(step).cast(), _mm256_srai_epi16::<8>(quads));
        }
    }
    for step in whole..count {
        // SAFETY: likewise.
        unsafe {
            let [a, b, c, d] = (*words.add(step)).to_le_bytes().map(|byte| u32::from(i16::from(byte as i8) as u16));
            *even.add(step) = a | c << 16;
            *odd.add(step) = b | d << 16;
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
    zero: *const i32,
    scale: *const f32,
) {
    /// Steps per group; two share a word, one in each nibble.
    const STEPS: usize = GROUP / 4;
    let nibble = _mm256_set1_epi32(0x0f0f_0f0f);
    let mut values = [[_mm256_setzero_ps(); V]; R];
    for group in 0..groups {
        let lines = panel.wrapping_add(group * GROUP_LINES);
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
            // SAFETY: there is a zero for each row and group.
            let zero = _mm256_set1_epi32(unsafe { *zero.add(row * groups + group) });
            for (vector, (value, sum)) in values.iter_mut().zip(sums).enumerate() {
                let sum = _mm256_add_epi32(zero, _mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
                // Scales of columns `c` and `c + 16` share a word.
                let at = (first + vector) % HALF;
                // SAFETY: the last line of a group holds its scales.
                let pairs = unsafe { _mm256_load_si256(lines.add(GROUP_LINES - 1).cast::<__m256i>().add(at)) };
                let scale = wide(pairs)[(first + vector) / HALF];
                *value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, *value);
            }
        }
    }
    for (row, values) in values.iter_mut().enumerate() {
        // SAFETY: there is a scale for each row.
        let scale = _mm256_set1_ps(unsafe { *scale.add(row) });
        *values = values.map(|value| _mm256_mul_ps(value, scale));
    }
    // SAFETY: the sub-tile has room for `R` rows.
    unsafe { sub_tile.store(&values, first) };
}
