//! Keys and values of a prompt in memory that never moves, so that its launches can be recorded.

use super::decoder::Decoder;
use super::kv_copy::{Bases, LayerRows, copy_layer};
use super::kv_pool::KvPool;
use super::weights::{Cache, CachedSequence, LayerCache, contiguous_bases};
use crate::pages::PageId;
use cubecl::server::Handle;

/// Keys and values of all layers of a prompt, `[kv_heads, capacity, head_dim]` each.
pub struct PromptCache {
    cache: Cache,
    bases: Vec<u32>,
    on_gpu: Bases,
}

impl PromptCache {
    /// Memory for a prompt of up to `capacity` tokens.
    pub fn new(decoder: &Decoder, capacity: usize) -> Self {
        let (client, sizes) = (decoder.client(), decoder.sizes);
        let bytes = capacity * sizes.kv_heads * sizes.head_dim * sizes.weights.size();
        let layer = |_| LayerCache { keys: client.empty(bytes), values: client.empty(bytes) };
        let layers = (0..decoder.layers()).map(layer).collect();
        let bases = contiguous_bases(0, sizes.kv_heads, capacity);
        let on_gpu = Bases::new(client, &bases);
        Self { cache: Cache { layers, head_stride: capacity, tokens: capacity }, bases, on_gpu }
    }

    /// Number of tokens for which there is memory.
    pub fn capacity(&self) -> usize {
        self.cache.tokens
    }

    /// Its buffers.
    pub fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.cache.handles()
    }

    /// Stores the keys and values of all tokens of a prompt in a layer, `[kv_heads, tokens, head_dim]` each. It can be
    /// recorded.
    ///
    /// # Panics
    ///
    /// When there is no such layer, or not enough memory.
    pub fn fill(&self, decoder: &Decoder, layer: usize, source: &LayerCache, tokens: usize) {
        let bases = &self.on_gpu;
        let from = LayerRows { layer: source, bases, head_stride: tokens, tokens };
        let capacity = self.cache.tokens;
        let to = LayerRows { layer: &self.cache.layers[layer], bases, head_stride: capacity, tokens: capacity };
        copy_layer(decoder.client(), &decoder.sizes, from, to, 0..tokens);
    }

    /// Copies the first `tokens` tokens to pages of a pool.
    ///
    /// # Panics
    ///
    /// When there are no pages for these tokens.
    pub fn store(&self, pool: &KvPool, pages: &[PageId], tokens: usize) {
        pool.store(CachedSequence { cache: &self.cache, bases: &self.bases }, pages, 0..tokens);
    }
}
