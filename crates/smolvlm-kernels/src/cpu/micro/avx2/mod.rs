//! Microkernels for AVX2 and FMA, which accumulate in registers in the order of the portable kernels.
//!
//! Sixteen registers hold the sums of up to six rows and half of a panel's columns. Kernels for one or two rows process
//! all columns at once: they are memory-bound, so they read a panel once, sequentially.

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

#[macro_use]
mod q4_kernel;
mod bytes;
mod floats;
mod vnni;

use super::kernels::Kernels;
use super::{Operand, Tile};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::isa::{Isa, Level, one_by_one};
use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_and_si256, _mm256_castsi256_ps, _mm256_load_si256,
    _mm256_set1_epi32, _mm256_setzero_ps, _mm256_slli_epi32, _mm256_storeu_ps,
};

/// f32 values per vector.
const LANES: usize = 8;
/// Number of vectors for all columns of a panel, and for half of them.
const FULL: usize = 4;
const HALF: usize = 2;

/// Installs the kernels if the processor supports them.
pub(super) fn install(isa: Isa, kernels: &mut Kernels) {
    if isa.level >= Level::Avx2 {
        kernels.f32_tile = floats::f32_tile;
        kernels.bf16_tile = floats::bf16_tile;
        kernels.mixed_tile = floats::mixed_tile;
        kernels.widens = false;
        kernels.q8_tile = bytes::q8_tile;
        kernels.q4_tile = bytes::q4_tile;
    }
    if isa.avx_vnni {
        kernels.q8_tile = vnni::q8_tile;
        kernels.q4_tile = vnni::q4_tile;
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

/// The number of steps of a loop over `R` rows that, unrolled, would need more registers than there are.
#[inline(always)]
fn rolled<const R: usize>(steps: usize) -> usize {
    if R > 2 { one_by_one(steps) } else { steps }
}

/// Converts pairs of bf16 to f32: those in the low halves of words, and those in the high halves.
#[inline]
#[target_feature(enable = "avx2")]
fn wide(pairs: __m256i) -> [__m256; 2] {
    let high = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff_0000_u32 as i32));
    [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)), _mm256_castsi256_ps(high)]
}

/// Reads the scales of `V` vectors of the columns from vector `first`; those of columns `c` and `c + 16` share a word.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code)]
unsafe fn column_scales<const V: usize>(line: *const CacheLine, first: usize) -> [__m256; V] {
    let mut scales = [_mm256_setzero_ps(); V];
    for (vector, scales) in (first..).zip(&mut scales) {
        // SAFETY: the caller has this line.
        let [low, high] = wide(unsafe { _mm256_load_si256(line.cast::<__m256i>().add(vector % HALF)) });
        *scales = if vector < HALF { low } else { high };
    }
    scales
}
