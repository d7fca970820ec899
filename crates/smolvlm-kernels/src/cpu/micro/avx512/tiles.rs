//! Microkernels for AVX-512, with BF16 and VNNI dot product instructions.
//!
//! A tile of 12 rows and 32 columns keeps 24 vectors of sums in registers; a step loads two vectors of weights and one
//! word of each row. The kernels differ only in the multiply-add instruction.

use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{AHEAD, Operand, Q4_LINES, Q8_LINES, QuantParams, Tile, next_panel};
use crate::{Q4_GROUP, Q8_GROUP};
use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_and_si512, _mm512_castsi512_ps, _mm512_cvtepi32_ps,
    _mm512_dpbf16_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_load_si512, _mm512_mul_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi32, _mm512_srli_epi32, _mm512_storeu_ps,
};

/// Rows whose sums fit the registers.
const REGISTER_ROWS: usize = 12;

/// Rows of the kernels that need twice as many registers per row, for integer and scaled sums.
const GROUP_ROWS: usize = REGISTER_ROWS / 2;

/// Calls the kernel instance for the given number of rows, or for the first [`REGISTER_ROWS`] of more.
macro_rules! by_rows {
    ($rows:expr, $kernel:ident $args:tt) => {
        match $rows {
            1 => $kernel::<1> $args,
            2 => $kernel::<2> $args,
            3 => $kernel::<3> $args,
            4 => $kernel::<4> $args,
            5 => $kernel::<5> $args,
            6 => $kernel::<6> $args,
            7 => $kernel::<7> $args,
            8 => $kernel::<8> $args,
            9 => $kernel::<9> $args,
            10 => $kernel::<10> $args,
            11 => $kernel::<11> $args,
            _ => $kernel::<REGISTER_ROWS> $args,
        }
    };
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn f32_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    for first in (0..a.rows).step_by(REGISTER_ROWS) {
        let words = a.words[first * a.stride..].as_ptr();
        let sums = out.sums[first * out.stride..].as_mut_ptr();
        // SAFETY: `micro` checked that panels and rows hold all steps, and `install` the instructions.
        unsafe { by_rows!(a.rows - first, f32_rows(words, a.stride, panels, steps, sums, out.stride)) }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn bf16_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    for first in (0..a.rows).step_by(REGISTER_ROWS) {
        let words = a.words[first * a.stride..].as_ptr();
        let sums = out.sums[first * out.stride..].as_mut_ptr();
        // SAFETY: as for `f32_tile`.
        unsafe { by_rows!(a.rows - first, bf16_rows(words, a.stride, panels, steps, sums, out.stride)) }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn mixed_tile(a: Operand<'_>, panel: &[CacheLine], steps: usize, out: Tile<'_>) {
    for first in (0..a.rows).step_by(REGISTER_ROWS) {
        let words = a.words[first * a.stride..].as_ptr();
        let sums = out.sums[first * out.stride..].as_mut_ptr();
        // SAFETY: as for `f32_tile`.
        unsafe { by_rows!(a.rows - first, mixed_rows(words, a.stride, panel.as_ptr(), steps, sums, out.stride)) }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn q8_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, out: Tile<'_>) {
    for first in (0..a.rows).step_by(GROUP_ROWS) {
        let words = a.words[first * a.stride..].as_ptr();
        let sums = out.sums[first * out.stride..].as_mut_ptr();
        let (rows, q, panel) = (GROUP_ROWS.min(a.rows - first), q.rows_from(first, groups), panel.as_ptr());
        // SAFETY: as for `f32_tile`; there are parameters for each row and group.
        unsafe { by_rows!(rows, q8_rows(words, a.stride, panel, groups, q, sums, out.stride)) }
    }
}

#[expect(unsafe_code, reason = "installed only for processors with the instructions")]
pub(super) fn q4_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, out: Tile<'_>) {
    for first in (0..a.rows).step_by(GROUP_ROWS) {
        let words = a.words[first * a.stride..].as_ptr();
        let sums = out.sums[first * out.stride..].as_mut_ptr();
        let (rows, q, panel) = (GROUP_ROWS.min(a.rows - first), q.rows_from(first, groups), panel.as_ptr());
        // SAFETY: as for `q8_tile`.
        unsafe { by_rows!(rows, q4_rows(words, a.stride, panel, groups, q, sums, out.stride)) }
    }
}

/// Loads both vectors of a step of a panel.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
unsafe fn weights(panel: *const CacheLine, step: usize) -> [__m512i; 2] {
    // SAFETY: the caller's panel has this step; lines are aligned.
    unsafe { [_mm512_load_si512(panel.add(2 * step).cast()), _mm512_load_si512(panel.add(2 * step + 1).cast())] }
}

/// Prefetches a step of a panel that is read later, if the rows are few.
#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch<const R: usize>(panel: *const CacheLine, step: usize) {
    if R <= REGISTER_ROWS - 4 {
        let line = panel.wrapping_add(2 * step);
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
        _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(1).cast());
    }
}

/// Reinterprets a vector of words as pairs of bf16.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
pub(super) fn pairs(words: __m512i) -> __m512bh {
    // SAFETY: the types have the same size, and all bit patterns are valid.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(words) }
}

/// Broadcasts the word of a row at a step.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
unsafe fn word(a: *const u32, stride: usize, row: usize, step: usize) -> __m512i {
    // SAFETY: the caller's rows have this step.
    unsafe { _mm512_set1_epi32(*a.add(row * stride + step) as i32) }
}

#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
unsafe fn f32_rows<const R: usize>(
    a: *const u32,
    stride: usize,
    panels: &[&[CacheLine]],
    steps: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for (index, panel) in panels.iter().map(|panel| panel.as_ptr()).enumerate() {
        let (a, next) = (a.wrapping_add(index * steps), next_panel(panels, index));
        for step in 0..steps {
            prefetch::<R>(next, step);
            // SAFETY: the step is in panel and rows.
            let [left, right] = unsafe { weights(panel, step) };
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: likewise.
                let value = _mm512_castsi512_ps(unsafe { word(a, stride, row, step) });
                sums[0] = _mm512_fmadd_ps(value, _mm512_castsi512_ps(left), sums[0]);
                sums[1] = _mm512_fmadd_ps(value, _mm512_castsi512_ps(right), sums[1]);
            }
        }
    }
    // SAFETY: the tile has room for `R` rows.
    unsafe { store(&sums, out, out_stride) };
}

#[target_feature(enable = "avx512f,avx512bf16")]
#[allow(unsafe_code)]
unsafe fn bf16_rows<const R: usize>(
    a: *const u32,
    stride: usize,
    panels: &[&[CacheLine]],
    steps: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for (index, panel) in panels.iter().map(|panel| panel.as_ptr()).enumerate() {
        let (a, next) = (a.wrapping_add(index * steps), next_panel(panels, index));
        for step in 0..steps {
            prefetch::<R>(next, step);
            // SAFETY: the step is in panel and rows.
            unsafe {
                let [left, right] = weights(panel, step);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let pair = word(a, stride, row, step);
                    sums[0] = _mm512_dpbf16_ps(sums[0], pairs(pair), pairs(left));
                    sums[1] = _mm512_dpbf16_ps(sums[1], pairs(pair), pairs(right));
                }
            }
        }
    }
    // SAFETY: the tile has room for `R` rows.
    unsafe { store(&sums, out, out_stride) };
}

#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
unsafe fn mixed_rows<const R: usize>(
    a: *const u32,
    stride: usize,
    panel: *const CacheLine,
    steps: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let high = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for step in 0..steps {
        prefetch::<R>(panel.wrapping_add(2 * AHEAD), step);
        // SAFETY: the step is in panel and rows.
        unsafe {
            let pairs = weights(panel, step);
            let low = pairs.map(|pairs| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = _mm512_castsi512_ps(word(a, stride, row, 2 * step));
                sums[0] = _mm512_fmadd_ps(value, low[0], sums[0]);
                sums[1] = _mm512_fmadd_ps(value, low[1], sums[1]);
            }
            let high = pairs.map(|pairs| _mm512_castsi512_ps(_mm512_and_si512(pairs, high)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = _mm512_castsi512_ps(word(a, stride, row, 2 * step + 1));
                sums[0] = _mm512_fmadd_ps(value, high[0], sums[0]);
                sums[1] = _mm512_fmadd_ps(value, high[1], sums[1]);
            }
        }
    }
    // SAFETY: the tile has room for `R` rows.
    unsafe { store(&sums, out, out_stride) };
}

#[target_feature(enable = "avx512f,avx512vnni")]
#[allow(unsafe_code)]
unsafe fn q8_rows<const R: usize>(
    a: *const u32,
    stride: usize,
    panel: *const CacheLine,
    groups: usize,
    q: QuantParams<'_>,
    out: *mut f32,
    out_stride: usize,
) {
    const STEPS: usize = Q8_GROUP / 4;
    let mut values = [[_mm512_setzero_ps(); 2]; R];
    for group in 0..groups {
        // SAFETY: the caller guarantees the group, the rows and their parameters.
        unsafe {
            let lines = panel.add(group * Q8_LINES);
            let mut sums = [[_mm512_setzero_si512(); 2]; R];
            for (row, sums) in sums.iter_mut().enumerate() {
                *sums = [_mm512_set1_epi32(*q.offset.get_unchecked(row * groups + group)); 2];
            }
            for step in 0..STEPS {
                prefetch::<R>(lines.wrapping_add(2 * AHEAD), step);
                let [left, right] = weights(lines, step);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let quad = word(a, stride, row, group * STEPS + step);
                    sums[0] = _mm512_dpbusd_epi32(sums[0], left, quad);
                    sums[1] = _mm512_dpbusd_epi32(sums[1], right, quad);
                }
            }
            let scales = column_scales(&*lines.add(Q8_LINES - 1));
            for (row, (values, sums)) in values.iter_mut().zip(sums).enumerate() {
                let scale = _mm512_set1_ps(*q.scale.get_unchecked(row * groups + group));
                for half in 0..2 {
                    let factor = _mm512_mul_ps(scales[half], scale);
                    values[half] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[half]), factor, values[half]);
                }
            }
        }
    }
    // SAFETY: the caller has room for `R` rows.
    unsafe { store(&values, out, out_stride) };
}

#[target_feature(enable = "avx512f,avx512vnni")]
#[allow(unsafe_code)]
unsafe fn q4_rows<const R: usize>(
    a: *const u32,
    stride: usize,
    panel: *const CacheLine,
    groups: usize,
    q: QuantParams<'_>,
    out: *mut f32,
    out_stride: usize,
) {
    /// Steps per group; two share a word, one in each nibble.
    const STEPS: usize = Q4_GROUP / 4;
    let nibble = _mm512_set1_epi32(0x0f0f_0f0f);
    let mut values = [[_mm512_setzero_ps(); 2]; R];
    for group in 0..groups {
        // SAFETY: the caller guarantees the group, the rows and their parameters.
        unsafe {
            let lines = panel.add(group * Q4_LINES);
            let mut sums = [[_mm512_setzero_si512(); 2]; R];
            for step in 0..STEPS / 2 {
                prefetch::<R>(lines.wrapping_add(2 * AHEAD), step);
                let packed = weights(lines, step);
                let first = packed.map(|packed| _mm512_and_si512(packed, nibble));
                let second = packed.map(|packed| _mm512_and_si512(_mm512_srli_epi32::<4>(packed), nibble));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let quad = word(a, stride, row, group * STEPS + step);
                    let later = word(a, stride, row, group * STEPS + step + STEPS / 2);
                    for half in 0..2 {
                        sums[half] = _mm512_dpbusd_epi32(sums[half], first[half], quad);
                        sums[half] = _mm512_dpbusd_epi32(sums[half], second[half], later);
                    }
                }
            }
            let scales = column_scales(&*lines.add(Q4_LINES - 2));
            let minima = column_scales(&*lines.add(Q4_LINES - 1));
            for (row, (values, sums)) in values.iter_mut().zip(sums).enumerate() {
                let index = row * groups + group;
                let scale = _mm512_set1_ps(*q.scale.get_unchecked(index));
                let total = _mm512_set1_ps(*q.offset.get_unchecked(index) as f32);
                for half in 0..2 {
                    let sum = _mm512_cvtepi32_ps(sums[half]);
                    let value = _mm512_fmadd_ps(sum, scales[half], _mm512_mul_ps(total, minima[half]));
                    values[half] = _mm512_fmadd_ps(value, scale, values[half]);
                }
            }
        }
    }
    // SAFETY: the caller has room for `R` rows.
    unsafe { store(&values, out, out_stride) };
}

/// Reads a line of scales; those of columns `c` and `c + 16` share a word.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
pub(super) fn column_scales(line: &CacheLine) -> [__m512; 2] {
    // SAFETY: cache lines have the size and the alignment of vectors.
    let pairs = unsafe { _mm512_load_si512((&raw const *line).cast()) };
    let high = _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff_0000_u32 as i32));
    [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)), _mm512_castsi512_ps(high)]
}

/// Writes the sums of `R` rows of 32 columns.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
unsafe fn store<const R: usize>(sums: &[[__m512; 2]; R], out: *mut f32, stride: usize) {
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: the caller has room for `R` rows.
        unsafe {
            _mm512_storeu_ps(out.add(stride * row), sums[0]);
            _mm512_storeu_ps(out.add(stride * row + 16), sums[1]);
        }
    }
}
