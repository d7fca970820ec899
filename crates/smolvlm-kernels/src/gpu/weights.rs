//! What the decoder of a card works on.

use cubecl::ir::ElemType;
use cubecl::server::Handle;

/// Sizes of a decoder.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width between gate and down projection.
    pub inner: usize,
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Rows of the table of embeddings and of the output projection.
    pub vocabulary: usize,
    /// Added to the mean square in norms.
    pub eps: f32,
    /// Type of the weights, and of keys and values in the cache.
    pub weights: ElemType,
}

/// Weights of a layer, row after row, `[out, in]` each.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    /// Before the attention.
    pub input_norm: Handle,
    /// Queries.
    pub q: Handle,
    /// Keys.
    pub k: Handle,
    /// Values.
    pub v: Handle,
    /// Output of the attention.
    pub o: Handle,
    /// Before the feed-forward block.
    pub mlp_norm: Handle,
    /// Through the activation, SiLU.
    pub gate: Handle,
    /// Times the gate.
    pub up: Handle,
    /// Back.
    pub down: Handle,
}

/// Weights of a decoder.
#[derive(Debug, Clone)]
pub struct Weights {
    /// A row for each token.
    pub embeddings: Handle,
    /// All layers.
    pub layers: Vec<LayerWeights>,
    /// After the last layer.
    pub norm: Handle,
    /// The output projection.
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
    /// Keys, rotated.
    pub keys: Handle,
    /// Values.
    pub values: Handle,
}

/// What a cache of some rows needs beside its layers.
#[derive(Debug, Clone)]
pub struct Cache {
    /// All layers.
    pub layers: Vec<LayerCache>,
    /// Cosines and sines of all positions, `[capacity, head_dim]` each, of the weights' type.
    pub rotary: [Handle; 2],
    /// Tokens that a row can hold.
    pub capacity: usize,
}

impl Cache {
    pub(super) fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.layers.iter().flat_map(|layer| [&layer.keys, &layer.values]).chain(&self.rotary)
    }
}
