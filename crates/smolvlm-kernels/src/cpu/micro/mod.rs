//! Inner loops, one file or folder per instruction set; [`kernels`] has the fastest of each that the processor
//! supports.
//!
//! Tile kernels multiply a few rows with one panel of a packed matrix.
//! Each step consumes 4 bytes of every row (one f32, two bf16 or four 8-bit values) and 4 bytes of each of the panel's
//! 32 columns, so a panel is `[steps][32 columns]` words. The sums of a row do not depend on the other rows of the
//! tile, which makes results independent of batches, chunks and threads.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod kernels;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod plain;

use kernels::{Convert, FloatTile};
pub(crate) use kernels::{bf16_activations, call_rows, is_widened, kernels, tile_rows};

use super::aligned_buf::CacheLine;
use crate::{PackedFormat, Q4_GROUP, Q8_GROUP};

/// Columns per panel.
pub(crate) const COLUMNS: usize = 32;
/// Maximum number of rows per call of a kernel; [`call_rows`] is the fastest number.
pub(crate) const ROWS: usize = 128;
/// Cache lines per group of an 8-bit panel: 16 steps, and a line of scales.
pub(crate) const Q8_LINES: usize = 2 * Q8_GROUP / 4 + 1;
/// Cache lines per group of a 4-bit panel: 8 steps, two of which share words, a line of scales and one of minima.
pub(crate) const Q4_LINES: usize = Q4_GROUP / 4 + 2;

/// Prefetch distance in steps, for few rows: their weights come from memory, faster than the hardware prefetcher
/// requests them. With more rows, the weights come from the cache.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 24;

/// Data to prefetch while a panel is read, step by step: the next panel, or later steps if it is the last.
#[cfg(target_arch = "x86_64")]
#[inline]
fn next_panel(panels: &[&[CacheLine]], index: usize) -> *const CacheLine {
    panels.get(index + 1).map_or(panels[index].as_ptr().wrapping_add(2 * AHEAD), |next| next.as_ptr())
}

/// Destination of the sums of a tile: rows of 32 columns.
#[derive(Debug)]
pub(crate) struct Tile<'a> {
    /// The sums.
    pub(crate) sums: &'a mut [f32],
    /// Row stride, at least 32.
    pub(crate) stride: usize,
}

/// Rows of packed activations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<'a> {
    /// The words of all rows.
    pub(crate) words: &'a [u32],
    /// Row stride in words.
    pub(crate) stride: usize,
    /// Number of rows of the tile, at most [`ROWS`].
    pub(crate) rows: usize,
}

impl Operand<'_> {
    fn check_panels(&self, panels: &[&[CacheLine]], steps: usize, out: &Tile<'_>) {
        let shortest = panels.iter().map(|panel| panel.len()).min().unwrap_or(0);
        self.check(panels.len() * steps, shortest, 2 * steps, out);
    }

    fn check(&self, steps: usize, panel: usize, panel_lines: usize, out: &Tile<'_>) {
        assert!((1..=ROWS).contains(&self.rows), "a tile of {} rows", self.rows);
        assert!(
            out.stride >= COLUMNS && out.sums.len() >= (self.rows - 1) * out.stride + COLUMNS,
            "the buffer of sums is too short"
        );
        assert!(self.words.len() >= (self.rows - 1) * self.stride + steps, "rows are shorter than their steps");
        assert!(panel >= panel_lines, "the panel is shorter than its steps");
    }
}

/// Quantization parameters of rows of 8-bit activations: `[rows, groups]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuantParams<'a> {
    /// Scales.
    pub(crate) scale: &'a [f32],
    /// With 8-bit weights, the negated contribution of their offset to integer sums. With 4-bit weights, the sums of
    /// the codes, which are multiplied with the minima.
    pub(crate) offset: &'a [i32],
}

impl<'a> QuantParams<'a> {
    /// The parameters of the rows from `first`.
    pub(crate) fn rows_from(self, first: usize, groups: usize) -> Self {
        Self { scale: &self.scale[first * groups..], offset: &self.offset[first * groups..] }
    }

    fn check(&self, rows: usize, groups: usize) {
        assert!(self.scale.len() >= rows * groups && self.offset.len() >= rows * groups, "scales are missing");
    }
}

/// Multiplies f32 rows with f32 panels of `steps` steps each, stacked along the inner dimension.
pub(crate) fn f32_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    a.check_panels(panels, steps, &out);
    (kernels().f32_tile)(a, panels, steps, out);
}

/// Multiplies bf16 rows with bf16 panels of `steps` steps each, stacked along the inner dimension, accumulating in
/// f32.
pub(crate) fn bf16_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    a.check_panels(panels, steps, &out);
    (kernels().bf16_tile)(a, panels, steps, out);
}

/// Multiplies f32 rows with several panels of `steps` steps each, side by side: a tile of sums for each.
pub(crate) fn f32_tiles(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    one_after_the_other(f32_tile, a, panels, steps, out);
}

/// The same for bf16 rows and panels.
pub(crate) fn bf16_tiles(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    let shortest = panels.iter().map(|panel| panel.len()).min().unwrap_or(usize::MAX);
    a.check(steps, shortest, 2 * steps, &out);
    let last = (a.rows - 1) * out.stride + panels.len() * COLUMNS;
    assert!(out.stride >= panels.len() * COLUMNS && out.sums.len() >= last, "the buffer of sums is too short");
    match kernels().bf16_tiles {
        Some(kernel) => kernel(a, panels, steps, out),
        None => one_after_the_other(bf16_tile, a, panels, steps, out),
    }
}

fn one_after_the_other(tile: FloatTile, a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    for (index, panel) in panels.iter().enumerate() {
        tile(a, &[panel], steps, Tile { sums: &mut out.sums[index * COLUMNS..], stride: out.stride });
    }
}

/// Multiplies f32 rows with a bf16 panel of `steps` steps, as [`f32_tile`] would with the same weights in f32.
pub(crate) fn mixed_tile(a: Operand<'_>, panel: &[CacheLine], steps: usize, out: Tile<'_>) {
    a.check(2 * steps, panel.len(), 2 * steps, &out);
    (kernels().mixed_tile)(a, panel, steps, out);
}

/// Multiplies 8-bit rows with a panel of 8-bit weights, which are stored with an offset of 128.
pub(crate) fn q8_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, out: Tile<'_>) {
    a.check(groups * Q8_GROUP / 4, panel.len(), groups * Q8_LINES, &out);
    q.check(a.rows, groups);
    (kernels().q8_tile)(a, q, panel, groups, out);
}

/// Multiplies 8-bit rows with a panel of 4-bit weights.
pub(crate) fn q4_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, out: Tile<'_>) {
    a.check(groups * Q4_GROUP / 4, panel.len(), groups * Q4_LINES, &out);
    q.check(a.rows, groups);
    (kernels().q4_tile)(a, q, panel, groups, out);
}

/// Converts a panel to the format of the rows that it is multiplied with: bf16 weights to f32, quantized ones to bf16
/// for processors with [`bf16_activations`].
pub(crate) fn convert(format: PackedFormat, panel: &[CacheLine], out: &mut [CacheLine]) {
    // Lines that become as many lines.
    let (kernel, lines, converted): (Convert, usize, usize) = match format {
        PackedFormat::Bf16Weights => (plain::bf16_to_f32, 2, 4),
        PackedFormat::Q8 => (kernels().q8_to_bf16, Q8_LINES, Q8_GROUP),
        PackedFormat::Q4 => (kernels().q4_to_bf16, Q4_LINES, Q4_GROUP),
        PackedFormat::F32 | PackedFormat::Bf16 => unreachable!("rows of {format:?} have the format of the weights"),
    };
    assert_eq!(panel.len() / lines * converted, out.len(), "a buffer for all inputs of the panel");
    kernel(panel, out);
}
