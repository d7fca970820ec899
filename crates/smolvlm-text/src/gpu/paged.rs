//! Decoding of any number of sequences whose keys and values are in pages.

use super::{GpuDecoder, GpuPrompts, buffers, rotary_tables};
use crate::KvCache;
use smolvlm_kernels::gpu::decode_batch::{DecodeBatch, SequenceRow};
use smolvlm_kernels::gpu::kv_pool::KvPool;
use smolvlm_kernels::gpu::weights::{CachedSequence, RotaryTables, contiguous_bases};
use smolvlm_kernels::{PAGE_TOKENS, PageId, PageReferences, PageStore, TopTokens};
use smolvlm_nn::Rotary;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Minimum number of pages for which the rows of a batch have room.
const MIN_PAGES_PER_ROW: usize = 8;

/// Pages of keys and values on a GPU, and the batches that decode sequences in them.
pub struct GpuPages {
    pool: KvPool,
    rotary: Option<RotaryTables>,
    /// The batches by their number of rows, a power of two: each is recorded once and then replayed.
    batches: BTreeMap<usize, DecodeBatch>,
    /// The rows of the last step.
    rows: Vec<Row>,
    /// Whether the last step used the argmax tokens of the step before; the next step then probably does, too.
    feeds_argmax: bool,
}

/// A new token of a sequence.
#[derive(Debug, Clone, Copy)]
pub struct GpuRow<'a> {
    /// Identifies the sequence.
    pub id: u64,
    /// The token, less than the vocabulary size.
    pub token: u32,
    /// Number of tokens before it.
    pub len: usize,
    /// The pages of the sequence, with room for the token.
    pub pages: &'a [PageId],
}

/// A row of the last step.
struct Row {
    id: u64,
    /// Number of tokens after the step.
    len: usize,
    pages: Vec<PageId>,
    /// The argmax token of the step.
    argmax: Option<u32>,
}

impl fmt::Debug for GpuPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuPages").field("references", self.pool.references()).finish_non_exhaustive()
    }
}

impl GpuPages {
    /// No pages yet, and room for up to `max_pages`; memory is allocated when it is needed.
    pub fn new(decoder: &GpuDecoder, max_pages: usize) -> Self {
        Self {
            pool: KvPool::new(&decoder.decoder, max_pages),
            rotary: None,
            batches: BTreeMap::new(),
            rows: Vec::new(),
            feeds_argmax: false,
        }
    }

    /// Copies tokens of a cache with a single row without padding to the pages of a sequence.
    ///
    /// # Panics
    ///
    /// When there are no pages for these tokens, or the cache is that of another model.
    pub fn store(&self, decoder: &GpuDecoder, cache: &mut KvCache, tokens: Range<usize>, pages: &[PageId]) {
        let (bases, cache) = (contiguous_bases(0, decoder.token[0], cache.capacity()), buffers(cache));
        self.pool.store(CachedSequence { cache: &cache, bases: &bases }, pages, tokens);
    }

    /// Copies the tokens of the last prompt to the pages of a sequence.
    ///
    /// # Panics
    ///
    /// When there are no pages for these tokens.
    pub fn store_prompt(&self, prompts: &GpuPrompts, tokens: usize, pages: &[PageId]) {
        prompts.cache().store(&self.pool, pages, tokens);
    }

    /// Copies the first tokens of a sequence to an empty cache with a single row without padding.
    ///
    /// # Panics
    ///
    /// When there are no pages for these tokens, or the cache is too small or that of another model.
    pub fn load(&self, decoder: &GpuDecoder, pages: &[PageId], tokens: usize, cache: &mut KvCache) {
        let (bases, buffers) = (contiguous_bases(0, decoder.token[0], cache.capacity()), buffers(cache));
        self.pool.load(pages, CachedSequence { cache: &buffers, bases: &bases }, 0..tokens);
        cache.set_len(tokens);
    }

    /// Launches a decoding step for one token of each sequence, without waiting for it.
    pub fn step(&mut self, decoder: &GpuDecoder, rows: &[GpuRow<'_>]) {
        let count = rows.len().next_power_of_two();
        let pages = rows.iter().map(|row| row.pages.len()).max().unwrap_or(0).max(MIN_PAGES_PER_ROW);
        // A page that was copied for its sequence lacks what a step that ran ahead has written.
        let continues = |(last, row): (&Row, &GpuRow<'_>)| {
            last.id == row.id && last.len == row.len && row.pages.starts_with(&last.pages)
        };
        let same_rows = self.rows.len() == rows.len() && self.rows.iter().zip(rows).all(continues);
        let is_new = self.prepare_batch(decoder, count, pages);
        let Some(batch) = self.batches.get_mut(&count) else { return };
        let sequences = || {
            let sequence = |row: &GpuRow<'_>| SequenceRow {
                len: row.len,
                padding: 0,
                bases: self.pool.bases(row.pages),
                room: row.pages.len() * PAGE_TOKENS,
            };
            rows.iter().map(sequence).collect::<Vec<_>>()
        };
        if !same_rows || is_new {
            batch.place(&sequences());
        } else if self.rows.iter().zip(rows).any(|(last, row)| last.pages != row.pages) {
            batch.place_pages(&sequences());
        }
        self.feeds_argmax =
            same_rows && !is_new && self.rows.iter().zip(rows).all(|(last, row)| last.argmax == Some(row.token));
        let tokens: Vec<u32> = rows.iter().map(|row| row.token).collect();
        batch.step(&decoder.decoder, &tokens, self.feeds_argmax);
        let row = |row: &GpuRow<'_>| Row { id: row.id, len: row.len + 1, pages: row.pages.to_vec(), argmax: None };
        self.rows = rows.iter().map(row).collect();
    }

    /// The argmax token of each sequence after the last step, with its logit.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn argmax(&mut self, decoder: &GpuDecoder) -> Result<Vec<(u32, f32)>, String> {
        let Some(batch) = self.batches.get_mut(&self.rows.len().next_power_of_two()) else { return Ok(Vec::new()) };
        let mut argmax = batch.argmax(&decoder.decoder, self.feeds_argmax)?;
        argmax.truncate(self.rows.len());
        self.rows.iter_mut().zip(&argmax).for_each(|(row, (token, _))| row.argmax = Some(*token));
        Ok(argmax)
    }

    /// Of each sequence after the last step, at least the `count` most likely next tokens, in ascending order, with
    /// their logits; none where too many logits are equal.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn top(&self, decoder: &GpuDecoder, count: usize) -> Result<Vec<Option<TopTokens>>, String> {
        self.batch().map_or(Ok(Vec::new()), |batch| batch.top(&decoder.decoder, self.rows.len(), count))
    }

    /// The logits of each sequence after the last step, `[rows, vocabulary]`.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn logits(&self, decoder: &GpuDecoder) -> Result<Vec<f32>, String> {
        self.batch().map_or(Ok(Vec::new()), |batch| batch.logits(&decoder.decoder, self.rows.len()))
    }

    /// The logits of a sequence after the last step, by its row; none if there is no such row.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn row_logits(&self, decoder: &GpuDecoder, row: usize) -> Result<Vec<f32>, String> {
        let batch = self.batch().filter(|_| row < self.rows.len());
        batch.map_or(Ok(Vec::new()), |batch| batch.row_logits(&decoder.decoder, row))
    }

    /// The batch of the last step.
    fn batch(&self) -> Option<&DecodeBatch> {
        self.batches.get(&self.rows.len().next_power_of_two())
    }

    /// Recorded steps use the memory that the pool has before it grows.
    fn drop_batches_if_full(&mut self) {
        if self.pool.is_full() {
            self.batches.clear();
        }
    }

    /// Makes a batch of `count` rows, each with room for `pages` pages; whether it is a new one.
    fn prepare_batch(&mut self, decoder: &GpuDecoder, count: usize, pages: usize) -> bool {
        if self.batches.get(&count).is_some_and(|batch| (pages..=4 * pages).contains(&batch.pages_per_row())) {
            return false;
        }
        let pages_per_row = pages.next_power_of_two();
        let positions = pages_per_row * PAGE_TOKENS;
        let tables = match self.rotary.take() {
            Some(tables) if tables.positions >= positions => tables,
            _ => {
                let GpuDecoder { inverse_frequencies, device, dtype, .. } = decoder;
                rotary_tables(&Rotary::new(inverse_frequencies, positions, device, *dtype), positions)
            }
        };
        self.rotary = Some(tables.clone());
        let batch = DecodeBatch::new(&decoder.decoder, self.pool.cache().clone(), tables, count, pages_per_row);
        self.batches.insert(count, batch);
        true
    }
}

impl PageStore for GpuPages {
    fn references(&self) -> &PageReferences {
        self.pool.references()
    }

    fn references_mut(&mut self) -> &mut PageReferences {
        self.pool.references_mut()
    }

    fn allocate(&mut self) -> Option<PageId> {
        self.drop_batches_if_full();
        self.pool.allocate()
    }

    fn copy(&mut self, page: PageId, tokens: usize) -> Option<PageId> {
        self.drop_batches_if_full();
        self.pool.copy(page, tokens)
    }
}
