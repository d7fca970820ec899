//! Causal attention over KV pages, for prefill chunks and decode tokens alike.
//!
//! Keys are split into parts of a fixed length. Each part has its own softmax, and the parts of a row are folded in
//! their order (as in Flash-Decoding, Dao et al. 2023), so that one query can use all threads, and results do not
//! depend on the number of threads, on other sequences, or on the chunks in which tokens arrive.

use super::aligned_buf::AlignedBuf;
use super::attention_part::{KEYS_PER_PART, PartBuffers, RowLayout, attend_part, fold, normalize};
use super::epilogue::{Epilogue, narrow_to};
use super::kv_pages::{KvPages, KvType};
use super::kv_store::Segment;
use super::matrix::{Element, Matrix};
use super::micro::{COLUMNS, Operand, ROWS, tile_rows};
use super::pool::Pool;
use super::shared_slice::SharedSlice;
use crate::pages::PageId;
use ::half::bf16;
use bytemuck::cast_slice_mut;

/// Rows per unit, which use the keys and values of a part while they stay in the cache.
const ROWS_PER_UNIT: usize = 96;
/// Units larger than this fraction of a thread's share of the work are split.
const UNITS_PER_THREAD: usize = 4;

/// Buffer of partial results, reused across calls.
#[derive(Debug, Default)]
pub struct PagedScratch {
    partials: AlignedBuf,
}

/// Computes `softmax(q k^T / sqrt(width)) v`, with softmax in f32, for the new tokens of all segments, whose keys and
/// values were [stored](KvPages::store) before: each token attends to itself and all earlier tokens of its sequence.
///
/// The rows of `projected` are the tokens of all segments in order, its first `heads * width` columns their rotated
/// queries, which are rounded to the type of the pages. `out` has the same rows of `heads * width` values.
///
/// # Panics
///
/// When the sizes do not match.
#[expect(clippy::too_many_arguments, reason = "the operands of a kernel")]
pub fn paged_attention(
    pool: &Pool,
    pages: &KvPages,
    layer: usize,
    segments: &[Segment<'_>],
    heads: usize,
    projected: &Matrix<f32>,
    scratch: &mut PagedScratch,
    out: Epilogue<'_>,
) {
    let shape = pages.shape();
    assert!(layer < shape.layers, "layer {layer} of {}", shape.layers);
    assert!(heads > 0 && heads.is_multiple_of(shape.kv_heads), "{heads} heads, {} of keys", shape.kv_heads);
    assert!(heads * shape.width <= projected.columns(), "columns of queries are missing");
    segments.iter().for_each(Segment::check);
    let tokens = segments.iter().map(|segment| segment.tokens).sum();
    assert_eq!(projected.rows(), tokens, "as many rows as tokens");
    out.check(tokens, heads * shape.width);
    let group = heads / shape.kv_heads;
    let problem = Problem { pages, layer, group, projected, out, rows: RowLayout::new(pages.layout(), shape.width) };
    match pages.kv_type() {
        KvType::F32 => problem.run::<f32>(pool, segments, scratch),
        KvType::Bf16 => problem.run::<bf16>(pool, segments, scratch),
    }
}

/// The operands of a call.
struct Problem<'a> {
    pages: &'a KvPages,
    layer: usize,
    /// Query heads per key head.
    group: usize,
    projected: &'a Matrix<f32>,
    out: Epilogue<'a>,
    rows: RowLayout,
}

/// Some tokens of a segment and all queries of a key head; a row is a token and a query head, `[tokens, group]`.
struct Unit<'a> {
    pages: &'a [PageId],
    kv_head: usize,
    /// Position of the first token in its sequence.
    start: usize,
    tokens: usize,
    /// Row of the first token in the matrices.
    matrix_row: usize,
    /// Where its partial results start, if its parts are separate tasks.
    partials: Option<usize>,
}

impl Unit<'_> {
    fn parts(&self) -> usize {
        (self.start + self.tokens).div_ceil(KEYS_PER_PART)
    }

    /// Number of keys of a part that a token attends to.
    fn seen(&self, token: usize, part: usize) -> usize {
        (self.start + token + 1).saturating_sub(part * KEYS_PER_PART).min(KEYS_PER_PART)
    }
}

impl<'a> Problem<'a> {
    fn run<E: Element>(&self, pool: &Pool, segments: &[Segment<'a>], scratch: &mut PagedScratch) {
        let mut units = self.units(segments);
        let len = self.place_partials(&mut units, pool.threads());
        scratch.partials.grow(len);
        let partials = SharedSlice::new(scratch.partials.values_mut::<f32>());
        let tasks: Vec<(&Unit<'_>, usize)> = units
            .iter()
            .flat_map(|unit| (0..if unit.partials.is_some() { unit.parts() } else { 1 }).map(move |part| (unit, part)))
            .collect();
        pool.run(tasks.len(), |task| {
            let (unit, part) = tasks[task];
            let queries = self.queries::<E>(unit);
            let mut buffers = PartBuffers::new(self.unit_rows(unit).min(tile_rows()));
            match unit.partials {
                Some(start) => {
                    let len = self.unit_rows(unit) * self.rows.stride;
                    #[expect(unsafe_code, reason = "each task has its own unit and part")]
                    // SAFETY: `place_partials` gives each unit room for all its parts.
                    let out = unsafe { partials.part(start + part * len, len) };
                    for first in (0..self.unit_rows(unit)).step_by(tile_rows()) {
                        self.attend::<E>(
                            unit,
                            &queries,
                            first,
                            part,
                            &mut buffers,
                            &mut out[first * self.rows.stride..],
                        );
                    }
                }
                None => self.attend_unit::<E>(unit, &queries, &mut buffers),
            }
        });
        let split: Vec<(&Unit<'_>, usize)> =
            units.iter().filter_map(|unit| unit.partials.map(|start| (unit, start))).collect();
        pool.run(split.len(), |task| {
            let (unit, start) = split[task];
            let len = self.unit_rows(unit) * self.rows.stride;
            #[expect(unsafe_code, reason = "each task has its own unit")]
            // SAFETY: as above.
            let (total, others) = unsafe { partials.part(start, unit.parts() * len) }.split_at_mut(len);
            for (part, partial) in others.chunks_exact(len).enumerate() {
                self.fold(unit, 0, part + 1, total, partial);
            }
            self.finish(unit, total);
        });
    }

    /// The units of all segments.
    fn units(&self, segments: &[Segment<'a>]) -> Vec<Unit<'a>> {
        let tokens_per_unit = (ROWS_PER_UNIT / self.group).max(1);
        let (mut units, mut row) = (Vec::new(), 0);
        for segment in segments {
            // The longest units run first, for load balance.
            for first in (0..segment.tokens).step_by(tokens_per_unit).rev() {
                for kv_head in 0..self.pages.shape().kv_heads {
                    units.push(Unit {
                        pages: segment.pages,
                        kv_head,
                        start: segment.start + first,
                        tokens: tokens_per_unit.min(segment.tokens - first),
                        matrix_row: row + first,
                        partials: None,
                    });
                }
            }
            row += segment.tokens;
        }
        units
    }

    /// Splits units that are too large to balance the load, and returns the length of all partial results.
    fn place_partials(&self, units: &mut [Unit<'_>], threads: usize) -> usize {
        let work = |unit: &Unit<'_>| unit.tokens * (unit.start + unit.tokens);
        let limit = units.iter().map(work).sum::<usize>() / (threads * UNITS_PER_THREAD);
        let mut len = 0;
        for unit in units.iter_mut().filter(|unit| threads > 1 && unit.parts() > 1 && work(unit) > limit) {
            unit.partials = Some(len);
            len += unit.parts() * self.unit_rows(unit) * self.rows.stride;
        }
        len
    }

    fn unit_rows(&self, unit: &Unit<'_>) -> usize {
        unit.tokens * self.group
    }

    /// Rounded queries of a unit: `[rows, width]`.
    fn queries<E: Element>(&self, unit: &Unit<'_>) -> Vec<u32> {
        let (width, steps) = (self.pages.shape().width, self.pages.layout().key_steps);
        let mut queries = vec![0; self.unit_rows(unit) * steps];
        for (token, out) in cast_slice_mut::<_, E>(&mut queries).chunks_exact_mut(self.group * width).enumerate() {
            let columns = &self.projected.row(unit.matrix_row + token)[unit.kv_head * self.group * width..];
            narrow_to(columns, out);
        }
        queries
    }

    /// Computes a whole unit, part by part.
    fn attend_unit<E: Element>(&self, unit: &Unit<'_>, queries: &[u32], buffers: &mut PartBuffers) {
        let (rows, stride) = (self.unit_rows(unit), self.rows.stride);
        let mut total = vec![0.0; rows * stride];
        let mut partial = vec![0.0; if unit.parts() > 1 { rows.min(tile_rows()) * stride } else { 0 }];
        for part in 0..unit.parts() {
            for first in (0..rows).step_by(tile_rows()) {
                let total = &mut total[first * stride..];
                if part == 0 {
                    self.attend::<E>(unit, queries, first, part, buffers, total);
                } else if self.attend::<E>(unit, queries, first, part, buffers, &mut partial) {
                    self.fold(unit, first, part, total, &partial);
                }
            }
        }
        self.finish(unit, &mut total);
    }

    /// Computes the results of a part for up to [`tile_rows`] rows from `first`, and returns whether there are any.
    fn attend<E: Element>(
        &self,
        unit: &Unit<'_>,
        queries: &[u32],
        first: usize,
        part: usize,
        buffers: &mut PartBuffers,
        out: &mut [f32],
    ) -> bool {
        let rows = tile_rows().min(self.unit_rows(unit) - first);
        let mut seen = [0; ROWS];
        for (row, seen) in seen.iter_mut().enumerate().take(rows) {
            *seen = unit.seen((first + row) / self.group, part);
        }
        // No row attends to more keys than the last one.
        let keys = seen[rows - 1];
        if keys == 0 {
            return false;
        }
        let steps = self.pages.layout().key_steps;
        let queries = Operand { words: &queries[first * steps..], stride: steps, rows };
        let pages_per_part = KEYS_PER_PART / COLUMNS;
        let pages = &unit.pages[part * pages_per_part..][..keys.div_ceil(COLUMNS)];
        let page = |index: usize| self.pages.head(pages[index], self.layer, unit.kv_head);
        attend_part::<E>(queries, &seen[..rows], page, self.rows, buffers, out);
        true
    }

    /// Adds the results of a part to those of earlier parts, for the rows from `first` that attend to it.
    fn fold(&self, unit: &Unit<'_>, first: usize, part: usize, total: &mut [f32], partial: &[f32]) {
        let rows = first..self.unit_rows(unit);
        let hidden = rows.take_while(|row| unit.seen(row / self.group, part) == 0).count() * self.rows.stride;
        if hidden < partial.len() {
            fold(self.rows, &mut total[hidden..], &partial[hidden..]);
        }
    }

    /// Normalizes the results of a unit and writes them.
    fn finish(&self, unit: &Unit<'_>, total: &mut [f32]) {
        let width = self.pages.shape().width;
        for (row, total) in total.chunks_exact_mut(self.rows.stride).enumerate() {
            let sums = normalize(total);
            let column = (unit.kv_head * self.group + row % self.group) * width;
            for (panel, sums) in sums.chunks_exact(COLUMNS).enumerate() {
                let first = panel * COLUMNS;
                let position = [unit.matrix_row + row / self.group, column + first];
                #[expect(unsafe_code, reason = "each unit has its own tokens and heads")]
                // SAFETY: the rows and columns of a unit are written by one task.
                unsafe {
                    self.out.write(position, [1, COLUMNS.min(width - first)], sums, COLUMNS);
                }
            }
        }
    }
}
