//! Sizes, weights and cache of the GPU decoder.

use crate::PAGE_TOKENS;
use cubecl::ir::ElemType;
use cubecl::server::Handle;

/// Sizes of a decoder.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Width of the hidden states.
    pub hidden: usize,
    /// Intermediate width of the feed-forward block.
    pub inner: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Vocabulary size: rows of the embedding table and of the output projection.
    pub vocabulary: usize,
    /// Added to the mean square in norms.
    pub eps: f32,
    /// Data type of the weights, and of keys and values in the cache.
    pub weights: ElemType,
}

/// Weights of a layer, row-major, `[out, in]` each.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    /// Norm before the attention.
    pub input_norm: Handle,
    /// Query projection.
    pub q: Handle,
    /// Key projection.
    pub k: Handle,
    /// Value projection.
    pub v: Handle,
    /// Output projection of the attention.
    pub o: Handle,
    /// Norm before the feed-forward block.
    pub mlp_norm: Handle,
    /// Gate projection, followed by SiLU.
    pub gate: Handle,
    /// Up projection, multiplied with the gate.
    pub up: Handle,
    /// Down projection.
    pub down: Handle,
}

/// Weights of a decoder.
#[derive(Debug, Clone)]
pub struct Weights {
    /// Embedding table, one row per token.
    pub embeddings: Handle,
    /// All layers.
    pub layers: Vec<LayerWeights>,
    /// Norm after the last layer.
    pub norm: Handle,
    /// Output projection to logits.
    pub head: Handle,
}

impl LayerWeights {
    fn handles(&self) -> [&Handle; 9] {
        let Self { input_norm, q, k, v, o, mlp_norm, gate, up, down } = self;
        [input_norm, q, k, v, o, mlp_norm, gate, up, down]
    }
}

impl Weights {
    pub(super) fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.layers.iter().flat_map(LayerWeights::handles).chain([&self.embeddings, &self.norm, &self.head])
    }
}

/// Keys and values of a layer: rows of a head's width, laid out as the [`Cache`] says.
#[derive(Debug, Clone)]
pub struct LayerCache {
    /// Keys, with rotary embedding applied.
    pub keys: Handle,
    /// Values.
    pub values: Handle,
}

/// A KV cache in pages of [`PAGE_TOKENS`] tokens. The row of token `t` of a head is
/// `base[t / PAGE_TOKENS] + head * head_stride + t % PAGE_TOKENS`, with the bases of the sequence.
#[derive(Debug, Clone)]
pub struct Cache {
    /// All layers.
    pub layers: Vec<LayerCache>,
    /// Rows between the heads of a token.
    pub head_stride: usize,
    /// Number of tokens for which there is memory.
    pub tokens: usize,
}

impl Cache {
    pub(super) fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.layers.iter().flat_map(|layer| [&layer.keys, &layer.values])
    }
}

/// The bases of a row of a KV cache in which the heads of each row follow each other, with memory for `capacity`
/// tokens.
pub fn contiguous_bases(row: usize, kv_heads: usize, capacity: usize) -> Vec<u32> {
    let base = |page: usize| (row * kv_heads * capacity + page * PAGE_TOKENS) as u32;
    (0..capacity.div_ceil(PAGE_TOKENS)).map(base).collect()
}

/// A sequence in a KV cache: the base of each of its pages.
#[derive(Debug, Clone, Copy)]
pub struct CachedSequence<'a> {
    /// The cache.
    pub cache: &'a Cache,
    /// See [`Cache`].
    pub bases: &'a [u32],
}

/// Tables of rotary position embedding.
#[derive(Debug, Clone)]
pub struct RotaryTables {
    /// Cosines and sines, `[positions, head_dim]` each, in the data type of the weights.
    pub tables: [Handle; 2],
    /// Number of positions.
    pub positions: usize,
}
