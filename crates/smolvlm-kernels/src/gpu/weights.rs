//! Sizes, weights and cache of the GPU decoder.

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

/// Keys and values of a layer, `[rows, kv_heads, capacity, head_dim]` each.
#[derive(Debug, Clone)]
pub struct LayerCache {
    /// Keys, with rotary embedding applied.
    pub keys: Handle,
    /// Values.
    pub values: Handle,
}

/// KV cache of a batch of rows, with the rotary tables.
#[derive(Debug, Clone)]
pub struct Cache {
    /// All layers.
    pub layers: Vec<LayerCache>,
    /// Cosines and sines of all positions, `[capacity, head_dim]` each, in the data type of the weights.
    pub rotary: [Handle; 2],
    /// Maximum number of tokens per row.
    pub capacity: usize,
}

impl Cache {
    pub(super) fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.layers.iter().flat_map(|layer| [&layer.keys, &layer.values]).chain(&self.rotary)
    }
}
