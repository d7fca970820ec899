//! Attention of many queries, computed for a block of queries at a time.
//!
//! Keys and values of a head are packed once, so that both products use the matrix product microkernels. A block of
//! queries keeps all its scores in the cache of a core, so the score matrix is never materialized in memory (as in
//! FlashAttention, Dao et al. 2022, arXiv 2205.14135), and no running maximum is needed.

use super::aligned_buf::{AlignedBuf, CacheLine};
use super::epilogue::Epilogue;
use super::isa::vectorized;
use super::matrix::Element;
use super::micro::{COLUMNS, Operand, ROWS, Tile, bf16_tile, bf16_tiles, f32_tile, f32_tiles, tile_rows};
use super::pool::Pool;
use super::shared_slice::SharedSlice;
use super::softmax::softmax;
use std::cell::RefCell;

/// Queries per task, during which the keys and values of the head stay in the cache.
const QUERIES_PER_TASK: usize = 96;

/// Sizes of an attention problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Number of sequences.
    pub batch: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head, a multiple of the number of elements per word.
    pub width: usize,
    /// Queries per sequence.
    pub queries: usize,
    /// Keys and values per sequence.
    pub keys: usize,
}

/// Strided view of the vectors of all heads: that of head `h` of token `t` of sequence `b` starts at
/// `start + b * batch + t * token + h * head`.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a, E> {
    /// Underlying values.
    pub values: &'a [E],
    /// Offset of the first vector.
    pub start: usize,
    /// Stride between sequences.
    pub batch: usize,
    /// Stride between tokens.
    pub token: usize,
    /// Stride between heads.
    pub head: usize,
}

/// Key mask: the keys that each query attends to.
#[derive(Debug, Clone, Copy)]
pub enum KeyMask<'a> {
    /// All keys.
    All,
    /// Keys that are true in `[batch, keys]`; at least one per sequence.
    Keys(&'a [bool]),
}

impl<'a, E: Element> Heads<'a, E> {
    /// The vectors of a head, from token `first`.
    pub(crate) fn of(&self, batch: usize, head: usize, first: usize) -> &'a [E] {
        &self.values[self.start + batch * self.batch + head * self.head + first * self.token..]
    }
}

/// Buffers of packed keys and values, reused across calls.
#[derive(Debug, Default)]
pub struct AttentionScratch {
    keys: AlignedBuf,
    values: AlignedBuf,
}

/// Computes `softmax(q k^T / sqrt(width)) v`, with softmax in f32, into `out`: one row of `[heads * width]` values per
/// query.
///
/// # Panics
///
/// When the sizes do not match.
pub fn attention<E: Element>(
    pool: &Pool,
    shape: AttentionShape,
    [q, k, v]: [Heads<'_, E>; 3],
    mask: KeyMask<'_>,
    scratch: &mut AttentionScratch,
    out: Epilogue<'_>,
) {
    let AttentionShape { batch, heads, kv_heads, width, queries, keys } = shape;
    assert!(kv_heads > 0 && heads % kv_heads == 0 && width % E::STEP == 0, "heads {heads}, {kv_heads}, {width} wide");
    out.check(batch * queries, heads * width);
    let packing = Packing::new::<E>(shape);
    scratch.keys.grow(batch * kv_heads * packing.keys() * 16);
    scratch.values.grow(batch * kv_heads * packing.values() * 16);
    let packed_keys = SharedSlice::new(scratch.keys.values_mut::<CacheLine>());
    let packed_values = SharedSlice::new(scratch.values.values_mut::<CacheLine>());
    pool.run(2 * batch * kv_heads, |task| {
        let (index, half) = (task / 2, task % 2);
        let (batch, head) = (index / kv_heads, index % kv_heads);
        #[expect(unsafe_code, reason = "each task has its own head")]
        // SAFETY: a head's keys or values are packed by one task.
        unsafe {
            if half == 0 {
                let out = packed_keys.part(index * packing.keys(), packing.keys());
                pack_keys(k.of(batch, head, 0), k.token, keys, width, bytemuck::cast_slice_mut(out));
            } else {
                let out = packed_values.part(index * packing.values(), packing.values());
                pack_values(v.of(batch, head, 0), v.token, keys, width, bytemuck::cast_slice_mut(out));
            }
        }
    });
    let (packed_keys, packed_values) = (scratch.keys.values::<CacheLine>(), scratch.values.values::<CacheLine>());
    let chunks = queries.div_ceil(QUERIES_PER_TASK);
    pool.run(batch * heads * chunks, |task| {
        let chunk = task / (batch * heads);
        let (batch, head) = (task % (batch * heads) / heads, task % heads);
        let index = batch * kv_heads + head / (heads / kv_heads);
        let keys = &packed_keys[index * packing.keys()..][..packing.keys()];
        let values = &packed_values[index * packing.values()..][..packing.values()];
        BUFFERS.with_borrow_mut(|buffers| {
            let mut block = QueryBlock::<E>::new(shape, packing, buffers);
            for first in (chunk * QUERIES_PER_TASK..queries.min((chunk + 1) * QUERIES_PER_TASK)).step_by(tile_rows()) {
                let rows = tile_rows().min(queries - first);
                block.run(&mask, batch, rows, q.of(batch, head, first), q.token, keys, values);
                for panel in 0..packing.value_panels {
                    let sums = &block.buffers.sums[panel * COLUMNS..];
                    let columns = COLUMNS.min(width - panel * COLUMNS);
                    let column = head * width + panel * COLUMNS;
                    #[expect(unsafe_code, reason = "each task has its own queries and head")]
                    // SAFETY: the rows of these queries and columns of this head are written by this task only.
                    unsafe {
                        out.write(
                            [batch * queries + first, column],
                            [rows, columns],
                            sums,
                            packing.value_panels * COLUMNS,
                        );
                    }
                }
            }
        });
    });
}

/// Panels and steps of the packed keys and values of a head.
#[derive(Debug, Clone, Copy)]
struct Packing {
    key_panels: usize,
    key_steps: usize,
    value_panels: usize,
    value_steps: usize,
}

impl Packing {
    fn new<E: Element>(shape: AttentionShape) -> Self {
        Self {
            key_panels: shape.keys.div_ceil(COLUMNS),
            key_steps: shape.width / E::STEP,
            value_panels: shape.width.div_ceil(COLUMNS),
            // Whole panels of keys, so that weights and values have equal lengths.
            value_steps: shape.keys.next_multiple_of(COLUMNS) / E::STEP,
        }
    }

    fn keys(self) -> usize {
        self.key_panels * self.key_steps * 2
    }

    fn values(self) -> usize {
        self.value_panels * self.value_steps * 2
    }
}

vectorized! {
    /// Packs keys as columns: `[panel][step][32 keys]`.
    fn pack_keys<E: Element>(keys: &[E], token: usize, count: usize, width: usize, out: &mut [u32]) {
        let steps = width / E::STEP;
        for (panel, out) in out.chunks_exact_mut(steps * COLUMNS).enumerate() {
            for column in 0..COLUMNS {
                let key = panel * COLUMNS + column;
                if key >= count {
                    (0..steps).for_each(|step| out[step * COLUMNS + column] = 0);
                    continue;
                }
                for (step, values) in keys[key * token..][..width].chunks_exact(E::STEP).enumerate() {
                    out[step * COLUMNS + column] = word(values);
                }
            }
        }
    }
}

vectorized! {
    /// Packs values as columns: `[panel][step][32 positions of the head]`, where a step holds one key in f32, two in
    /// bf16.
    fn pack_values<E: Element>(values: &[E], token: usize, count: usize, width: usize, out: &mut [u32]) {
        let steps = count.next_multiple_of(COLUMNS) / E::STEP;
        for (panel, out) in out.chunks_exact_mut(steps * COLUMNS).enumerate() {
            let first = panel * COLUMNS;
            let columns = COLUMNS.min(width - first);
            let row = |key: usize| if key < count { &values[key * token + first..][..columns] } else { &[] };
            for (step, out) in out.chunks_exact_mut(COLUMNS).enumerate() {
                out.fill(0);
                for part in 0..E::STEP {
                    for (out, value) in out.iter_mut().zip(row(step * E::STEP + part)) {
                        *out |= bits(*value) << (16 * part);
                    }
                }
            }
        }
    }
}

/// The bits of one value, in the low part of a word.
#[inline(always)]
fn bits<E: Element>(value: E) -> u32 {
    let upper = value.wide().to_bits();
    if E::STEP == 1 { upper } else { upper >> 16 }
}

#[inline(always)]
fn word<E: Element>(values: &[E]) -> u32 {
    values.iter().enumerate().fold(0, |word, (part, value)| word | bits(*value) << (16 * part))
}

/// Scores, weights and sums of a block of up to [`tile_rows`] queries.
struct QueryBlock<'a, E> {
    shape: AttentionShape,
    packing: Packing,
    buffers: &'a mut Buffers,
    element: std::marker::PhantomData<E>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers::EMPTY) };
}

/// Buffers of a thread, kept between calls: fresh memory costs more than the arithmetic on it.
struct Buffers {
    /// `[rows, keys]`.
    scores: Vec<f32>,
    /// `[rows, keys]`, as words.
    weights: Vec<u32>,
    /// `[rows, panels, 32]`.
    sums: Vec<f32>,
}

impl Buffers {
    const EMPTY: Self = Self { scores: Vec::new(), weights: Vec::new(), sums: Vec::new() };
}

impl<'a, E: Element> QueryBlock<'a, E> {
    fn new(shape: AttentionShape, packing: Packing, buffers: &'a mut Buffers) -> Self {
        let (keys, rows) = (packing.key_panels * COLUMNS, tile_rows());
        // One extra cache line per row avoids cache set conflicts between rows.
        buffers.scores.resize(rows * (keys + 16), 0.0);
        buffers.weights.resize(rows * (keys / E::STEP + 16), 0);
        buffers.sums.resize(packing.value_panels * rows * COLUMNS, 0.0);
        Self { shape, packing, buffers, element: std::marker::PhantomData }
    }

    #[expect(clippy::too_many_arguments, reason = "called once")]
    fn run(
        &mut self,
        mask: &KeyMask<'_>,
        batch: usize,
        rows: usize,
        q: &[E],
        token: usize,
        keys: &[CacheLine],
        values: &[CacheLine],
    ) {
        let Packing { key_panels, key_steps, value_panels, value_steps } = self.packing;
        let Buffers { scores, weights, sums } = &mut *self.buffers;
        let (scores_stride, weights_stride) = (scores.len() / tile_rows(), weights.len() / tile_rows());
        let a = Operand {
            words: bytemuck::cast_slice(&q[..(rows - 1) * token + self.shape.width]),
            stride: token / E::STEP,
            rows,
        };
        panels::<E>(a, keys, [key_panels, key_steps], Tile { sums: scores, stride: scores_stride });
        let scale = std::f32::consts::LOG2_E / (self.shape.width as f32).sqrt();
        let mut totals = [0.0; ROWS];
        for (row, total) in totals.iter_mut().enumerate().take(rows) {
            let scores = &mut scores[row * scores_stride..][..self.shape.keys];
            if let KeyMask::Keys(seen) = mask {
                mask_scores(scores, &seen[batch * self.shape.keys..][..self.shape.keys]);
            }
            let weights = &mut weights[row * weights_stride..][..key_panels * COLUMNS / E::STEP];
            let (weights, padding) = bytemuck::cast_slice_mut(weights).split_at_mut(self.shape.keys);
            padding.fill(E::ZERO);
            *total = softmax::<E>(scores, scale, weights).sum;
        }
        let a = Operand { words: weights, stride: weights_stride, rows };
        let stride = value_panels * COLUMNS;
        panels::<E>(a, values, [value_panels, value_steps], Tile { sums: &mut *sums, stride });
        for (sums, total) in sums.chunks_exact_mut(stride).zip(&totals[..rows]) {
            let factor = 1.0 / total;
            sums.iter_mut().for_each(|sum| *sum *= factor);
        }
    }
}

/// Panels per call of a kernel.
const PANELS: usize = 32;

/// Multiplies rows with `count` panels of `steps` steps, which follow each other in memory, side by side.
fn panels<E: Element>(a: Operand<'_>, lines: &[CacheLine], [count, steps]: [usize; 2], out: Tile<'_>) {
    for first in (0..count).step_by(PANELS) {
        let mut panels: [&[CacheLine]; PANELS] = [&[]; PANELS];
        let count = PANELS.min(count - first);
        for (panel, lines) in panels[..count].iter_mut().zip(lines.chunks_exact(2 * steps).skip(first)) {
            *panel = lines;
        }
        let out = Tile { sums: &mut out.sums[first * COLUMNS..], stride: out.stride };
        tiles::<E>(a, &panels[..count], steps, out);
    }
}

/// Multiplies rows with panels side by side, both of elements `E`.
pub(super) fn tiles<E: Element>(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    if E::STEP == 1 { f32_tiles(a, panels, steps, out) } else { bf16_tiles(a, panels, steps, out) }
}

/// Multiplies rows with panels, stacked along the inner dimension, both of elements `E`.
pub(super) fn tile<E: Element>(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    if E::STEP == 1 { f32_tile(a, panels, steps, out) } else { bf16_tile(a, panels, steps, out) }
}

fn mask_scores(scores: &mut [f32], keys: &[bool]) {
    for (score, &seen) in scores.iter_mut().zip(keys) {
        if !seen {
            *score = f32::NEG_INFINITY;
        }
    }
}
