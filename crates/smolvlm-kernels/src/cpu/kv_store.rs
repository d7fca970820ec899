//! Writes of keys and values to pages.

use super::isa::vectorized;
use super::kv_pages::{KvPages, KvType, Layout, value_index};
use super::matrix::{Element, Matrix};
use super::micro::COLUMNS;
use super::packed_lhs::Precision;
use super::pool::Pool;
use crate::pages::{PAGE_TOKENS, PageId};
use ::half::bf16;
use bytemuck::cast_slice_mut;

/// New tokens of a sequence.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Page table of the sequence, with room for the new tokens.
    pub pages: &'a [PageId],
    /// Position of the first new token: the number of tokens before it.
    pub start: usize,
    /// Number of new tokens.
    pub tokens: usize,
    /// Precision of their activations in matrix products.
    pub precision: Precision,
}

impl Segment<'_> {
    /// Checks that the page table covers the new tokens.
    pub(super) fn check(&self) {
        let room = self.pages.len() * PAGE_TOKENS;
        let Segment { start, tokens, .. } = *self;
        assert!(start <= room && tokens <= room - start, "{tokens} tokens from {start} in pages for {room}");
    }
}

/// New tokens of one page.
#[derive(Debug, Clone, Copy)]
struct PageWrite {
    page: PageId,
    /// First slot.
    slot: usize,
    tokens: usize,
    /// Row of the first token.
    row: usize,
}

impl KvPages {
    /// Writes keys and values of a layer, rounded to the type of the pages. The rows of `projected` are the tokens of
    /// all segments in order; keys, already rotated, start at column `key_column`, values at `value_column`, both
    /// `kv_heads * width` wide.
    ///
    /// # Panics
    ///
    /// When the sizes do not match, or a page is shared or belongs to several segments.
    pub fn store(
        &mut self,
        pool: &Pool,
        layer: usize,
        segments: &[Segment<'_>],
        projected: &Matrix<f32>,
        key_column: usize,
        value_column: usize,
    ) {
        let shape = self.shape();
        let columns = shape.kv_heads * shape.width;
        assert!(layer < shape.layers, "layer {layer} of {}", shape.layers);
        assert!(key_column.max(value_column) + columns <= projected.columns(), "columns of keys or values are missing");
        let writes = self.page_writes(segments, projected.rows());
        let positions: Vec<_> = writes.iter().map(|write| self.position(write.page)).collect();
        let (layout, kv_type) = (self.layout(), self.kv_type());
        let slabs = self.shared();
        pool.run(writes.len(), |task| {
            let (write, (slab, start)) = (writes[task], positions[task]);
            #[expect(unsafe_code, reason = "each task has its own page")]
            // SAFETY: `page_writes` has checked that no page is written twice.
            let lines = unsafe { slabs[slab].part(start + layer * layout.layer(), layout.layer()) };
            for token in 0..write.tokens {
                let slot = write.slot + token;
                let row = projected.row(write.row + token);
                let (keys, values) = (&row[key_column..][..columns], &row[value_column..][..columns]);
                match kv_type {
                    KvType::F32 => store_token::<f32>(layout, keys, values, slot, cast_slice_mut(lines)),
                    KvType::Bf16 => store_token::<bf16>(layout, keys, values, slot, cast_slice_mut(lines)),
                }
            }
        });
    }

    /// The writes of all segments, each to a different page.
    fn page_writes(&self, segments: &[Segment<'_>], rows: usize) -> Vec<PageWrite> {
        let (mut writes, mut row) = (Vec::new(), 0);
        for segment in segments {
            segment.check();
            let end = segment.start + segment.tokens;
            let mut position = segment.start;
            while position < end {
                let (index, slot) = (position / PAGE_TOKENS, position % PAGE_TOKENS);
                let tokens = (PAGE_TOKENS - slot).min(end - position);
                writes.push(PageWrite { page: segment.pages[index], slot, tokens, row });
                position += tokens;
                row += tokens;
            }
        }
        assert_eq!(row, rows, "as many tokens as rows");
        assert!(writes.iter().all(|write| self.is_writable(write.page)), "a shared or released page is written");
        let mut pages: Vec<PageId> = writes.iter().map(|write| write.page).collect();
        pages.sort_unstable();
        assert!(pages.windows(2).all(|pair| pair[0] != pair[1]), "a page is written by several segments");
        writes
    }
}

vectorized! {
    /// Writes the keys and values of all heads of a token to a layer of its page.
    fn store_token<E: Element>(layout: Layout, keys: &[f32], values: &[f32], slot: usize, page: &mut [E]) {
        let (width, line) = (layout.key_steps * E::STEP, 16 * E::STEP);
        let heads = page.chunks_exact_mut(layout.head() * line);
        for ((head, key), value) in heads.zip(keys.chunks_exact(width)).zip(values.chunks_exact(width)) {
            let (key_steps, value_panels) = head.split_at_mut(layout.keys() * line);
            for (step, key) in key_steps.chunks_exact_mut(PAGE_TOKENS * E::STEP).zip(key.chunks_exact(E::STEP)) {
                for (out, key) in step[slot * E::STEP..].iter_mut().zip(key) {
                    *out = E::narrow(*key);
                }
            }
            for (panel, value) in value_panels.chunks_exact_mut(PAGE_TOKENS * COLUMNS).zip(value.chunks(COLUMNS)) {
                for (out, value) in panel[value_index::<E>(slot)..].iter_mut().step_by(E::STEP).zip(value) {
                    *out = E::narrow(*value);
                }
            }
        }
    }
}
