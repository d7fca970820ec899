//! Attention of a few rows to a part of the keys, and the fold of such results.

use super::aligned_buf::CacheLine;
use super::attention::{tile, tiles};
use super::isa::{one_by_one, vectorized};
use super::kv_pages::Layout;
use super::matrix::Element;
use super::micro::{COLUMNS, Operand, Tile};
use super::softmax::{RowStats, softmax};
use crate::exp::exp2;
use bytemuck::cast_slice_mut;

/// Keys per part: whole pages, few enough that scores and weights of a tile stay in the L1 cache. A change changes
/// results in the last digits.
pub(super) const KEYS_PER_PART: usize = 256;

/// Values before the sums of a row: its largest score, its sum of weights, and padding to a cache line.
const STATS: usize = 16;

/// Layout of results: rows of [`RowStats`] and weighted sums of values, not yet divided by the sum of weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLayout {
    key_steps: usize,
    value_steps: usize,
    value_panels: usize,
    /// Row stride, in values.
    pub(super) stride: usize,
    /// Factor of the scores in powers of two.
    pub(super) scale: f32,
}

impl RowLayout {
    pub(super) fn new(layout: Layout, width: usize) -> Self {
        let Layout { key_steps, value_steps, value_panels, .. } = layout;
        let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
        Self { key_steps, value_steps, value_panels, stride: STATS + value_panels * COLUMNS, scale }
    }
}

/// Scores and weights of the rows of a tile, reused across parts. One extra cache line per row avoids cache set
/// conflicts between rows.
#[derive(Debug)]
pub(super) struct PartBuffers {
    scores: Vec<f32>,
    weights: Vec<u32>,
}

const STRIDE: usize = KEYS_PER_PART + 16;

impl PartBuffers {
    pub(super) fn new(rows: usize) -> Self {
        Self { scores: vec![0.0; rows * STRIDE], weights: vec![0; rows * STRIDE] }
    }
}

/// Attention of a few rows to the keys of a part, of which each row sees the first `seen`. Keys and values are those of
/// `page(0)` and so on.
pub(super) fn attend_part<'a, E: Element>(
    queries: Operand<'_>,
    seen: &[usize],
    page: impl Fn(usize) -> (&'a [CacheLine], &'a [CacheLine]),
    layout: RowLayout,
    buffers: &mut PartBuffers,
    out: &mut [f32],
) {
    let pages = seen[seen.len() - 1].div_ceil(COLUMNS);
    let mut keys: [&[CacheLine]; KEYS_PER_PART / COLUMNS] = [&[]; _];
    for (index, keys) in keys.iter_mut().enumerate().take(pages) {
        *keys = page(index).0;
    }
    let scores = Tile { sums: &mut buffers.scores, stride: STRIDE };
    tiles::<E>(queries, &keys[..pages], layout.key_steps, scores);
    for (row, &seen) in seen.iter().enumerate() {
        let scores = &mut buffers.scores[row * STRIDE..][..pages * COLUMNS];
        let weights = &mut buffers.weights[row * STRIDE..][..pages * COLUMNS / E::STEP];
        let stats = if seen == 0 {
            weights.fill(0);
            RowStats { largest: f32::NEG_INFINITY, sum: 0.0 }
        } else {
            // Hidden keys get weights of zero, whose number changes neither the sum of weights nor that of values.
            scores[seen..].fill(f32::NEG_INFINITY);
            softmax::<E>(scores, layout.scale, cast_slice_mut(weights))
        };
        out[row * layout.stride..][..2].copy_from_slice(&[stats.largest, stats.sum]);
    }
    let a = Operand { words: &buffers.weights, stride: STRIDE, rows: queries.rows };
    for panel in 0..layout.value_panels {
        let mut values: [&[CacheLine]; KEYS_PER_PART / COLUMNS] = [&[]; _];
        for (index, values) in values.iter_mut().enumerate().take(pages) {
            *values = &page(index).1[panel * 2 * layout.value_steps..][..2 * layout.value_steps];
        }
        let sums = &mut out[STATS + panel * COLUMNS..];
        tile::<E>(a, &values[..pages], layout.value_steps, Tile { sums, stride: layout.stride });
    }
}

vectorized! {
    /// Adds the results of rows for a part to those for earlier parts.
    pub(super) fn fold(layout: RowLayout, total: &mut [f32], partial: &[f32]) {
        let rows = total.chunks_exact_mut(layout.stride).zip(partial.chunks_exact(layout.stride));
        for (total, partial) in rows {
            let largest = total[0].max(partial[0]);
            let [ours, theirs] = [total[0], partial[0]].map(|own| exp2::<FUSED>((own - largest) * layout.scale));
            (total[0], total[1]) = (largest, total[1] * ours + partial[1] * theirs);
            let panels = total[STATS..].as_chunks_mut::<COLUMNS>().0.iter_mut();
            for (total, partial) in panels.zip(partial[STATS..].as_chunks::<COLUMNS>().0) {
                for (total, partial) in one_by_one(total).iter_mut().zip(partial) {
                    *total = *total * ours + *partial * theirs;
                }
            }
        }
    }
}

/// Divides the sums of a row by the sum of weights and returns them.
pub(super) fn normalize(total: &mut [f32]) -> &[f32] {
    let factor = 1.0 / total[1];
    // Adding zero turns -0, which an underflow leaves only if no weights of zero follow, into 0.
    total[STATS..].iter_mut().for_each(|sum| *sum = *sum * factor + 0.0);
    &total[STATS..]
}
