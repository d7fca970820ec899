//! A pool of pages on a GPU (as in PagedAttention, Kwon et al. 2023, arXiv 2309.06180).

use super::decoder::Decoder;
use super::kv_copy::{Bases, LayerRows, copy_layer, copy_tokens};
use super::weights::{Cache, CachedSequence, LayerCache, Sizes};
use crate::pages::{PAGE_TOKENS, PageId, PageReferences, PageStore};
use cubecl::prelude::*;

/// Pages that are allocated at first; the memory doubles when all are in use.
const FIRST_PAGES: usize = 64;

/// Keys and values of all layers in reference-counted pages. Memory grows on demand and is kept for reuse.
pub struct KvPool {
    client: Client,
    sizes: Sizes,
    references: PageReferences,
    cache: Cache,
}

impl KvPool {
    /// An empty pool for a decoder, which grows up to `max_pages` pages or the largest buffer of the GPU.
    pub fn new(decoder: &Decoder, max_pages: usize) -> Self {
        let (client, sizes) = (decoder.client.clone(), decoder.sizes);
        let largest = client.properties().memory.max_page_size as usize;
        let references = PageReferences::new(max_pages.min(largest / page_bytes(&sizes)));
        let layer = |_| LayerCache { keys: client.empty(1), values: client.empty(1) };
        let layers = (0..decoder.layers()).map(layer).collect();
        Self { client, sizes, references, cache: Cache { layers, head_stride: PAGE_TOKENS, tokens: 0 } }
    }

    /// The memory of all pages; it changes when the pool grows.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Whether the next allocation moves all pages to larger memory.
    pub fn is_full(&self) -> bool {
        self.references.used() * PAGE_TOKENS >= self.cache.tokens
    }

    /// The bases of pages in the [`cache`](Self::cache).
    pub fn bases(&self, pages: &[PageId]) -> Vec<u32> {
        pages.iter().map(|page| page.0 * (self.sizes.kv_heads * PAGE_TOKENS) as u32).collect()
    }

    /// Copies tokens of a sequence in another cache to its pages here.
    ///
    /// # Panics
    ///
    /// When there are no pages for these tokens.
    pub fn store(&self, from: CachedSequence<'_>, pages: &[PageId], tokens: std::ops::Range<usize>) {
        let to = CachedSequence { cache: &self.cache, bases: &self.bases(pages) };
        copy_tokens(&self.client, &self.sizes, from, to, tokens);
    }

    /// Copies tokens of a sequence from its pages to another cache.
    ///
    /// # Panics
    ///
    /// When there are no pages for these tokens.
    pub fn load(&self, pages: &[PageId], to: CachedSequence<'_>, tokens: std::ops::Range<usize>) {
        let from = CachedSequence { cache: &self.cache, bases: &self.bases(pages) };
        copy_tokens(&self.client, &self.sizes, from, to, tokens);
    }

    /// Moves all pages to new memory for `pages` pages.
    fn grow(&mut self, pages: usize) {
        let bytes = pages * page_bytes(&self.sizes);
        let all: Vec<PageId> = (0..self.cache.tokens / PAGE_TOKENS).map(|page| PageId(page as u32)).collect();
        // Pages keep their bases.
        let bases = Bases::new(&self.client, &self.bases(&all));
        let (tokens, head_stride) = (pages * PAGE_TOKENS, self.cache.head_stride);
        // Layer by layer, so that little memory is allocated twice if nothing else refers to it.
        for layer in &mut self.cache.layers {
            let new = LayerCache { keys: self.client.empty(bytes), values: self.client.empty(bytes) };
            if !all.is_empty() {
                let from = LayerRows { layer, bases: &bases, head_stride, tokens: self.cache.tokens };
                let to = LayerRows { layer: &new, tokens, ..from };
                copy_layer(&self.client, &self.sizes, from, to, 0..self.cache.tokens);
            }
            *layer = new;
        }
        self.cache.tokens = tokens;
    }
}

impl PageStore for KvPool {
    fn references(&self) -> &PageReferences {
        &self.references
    }

    fn references_mut(&mut self) -> &mut PageReferences {
        &mut self.references
    }

    fn allocate(&mut self) -> Option<PageId> {
        if let Some(page) = self.references.reuse() {
            return Some(page);
        }
        let page = self.references.create()?;
        let pages = self.cache.tokens / PAGE_TOKENS;
        if page.0 as usize >= pages {
            self.grow((2 * pages).max(FIRST_PAGES).min(self.references.max_pages()));
        }
        Some(page)
    }

    /// # Panics
    ///
    /// When there are more tokens than a page holds.
    fn copy(&mut self, page: PageId, tokens: usize) -> Option<PageId> {
        let copy = self.allocate()?;
        let [from, to] = [[page], [copy]].map(|pages| self.bases(&pages));
        let [from, to] = [&from, &to].map(|bases| CachedSequence { cache: &self.cache, bases });
        copy_tokens(&self.client, &self.sizes, from, to, 0..tokens);
        Some(copy)
    }
}

/// Bytes of the keys or values of a page in a layer.
fn page_bytes(sizes: &Sizes) -> usize {
    PAGE_TOKENS * sizes.kv_heads * sizes.head_dim * sizes.weights.size()
}
