//! An encoder layer on packed weights.

use super::{TileEncoding, Workspace};
use smolvlm_config::VisionConfig;
use smolvlm_kernels::cpu::{
    AttentionScratch, AttentionShape, Element, Epilogue, Heads, KeyMask, Matrix, PackedLhs, Pool, attention, matmuls,
};
use smolvlm_kernels::{Activation, PackedFormat};
use smolvlm_nn::{PackedLayerNorm, PackedLinear, PackedSource, activation_kernel};

#[derive(Debug)]
pub(super) struct PackedLayer {
    layer_norm1: PackedLayerNorm,
    q: PackedLinear,
    k: PackedLinear,
    v: PackedLinear,
    out: PackedLinear,
    layer_norm2: PackedLayerNorm,
    fc1: PackedLinear,
    fc2: PackedLinear,
    activation: Activation,
    heads: usize,
}

impl PackedLayer {
    pub(super) fn load<S: PackedSource>(
        config: &VisionConfig,
        source: &S,
        path: &str,
        format: PackedFormat,
    ) -> Result<Self, S::Error> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let norm = |name: &str| PackedLayerNorm::load(source, &format!("{path}.{name}"), hidden, config.layer_norm_eps);
        let linear = |name: &str, shape| PackedLinear::load(source, &format!("{path}.{name}"), shape, true, format);
        Ok(Self {
            layer_norm1: norm("layer_norm1")?,
            q: linear("self_attn.q_proj", [hidden, hidden])?,
            k: linear("self_attn.k_proj", [hidden, hidden])?,
            v: linear("self_attn.v_proj", [hidden, hidden])?,
            out: linear("self_attn.out_proj", [hidden, hidden])?,
            layer_norm2: norm("layer_norm2")?,
            fc1: linear("mlp.fc1", [inner, hidden])?,
            fc2: linear("mlp.fc2", [hidden, inner])?,
            activation: activation_kernel(config.hidden_act),
            heads: config.num_attention_heads,
        })
    }

    /// Applies the block to the patches of all tiles.
    pub(super) fn run(&self, pool: &Pool, encoding: &mut TileEncoding, wide_heads: bool, workspace: &mut Workspace) {
        let Workspace { normed, attended, inner, f32_heads, bf16_heads, scratch } = workspace;
        self.layer_norm1.pack(pool, &encoding.x, normed);
        if wide_heads {
            self.attend(pool, encoding, normed, f32_heads, scratch, attended);
        } else {
            self.attend(pool, encoding, normed, bf16_heads, scratch, attended);
        }
        let x = &mut encoding.x;
        matmuls(pool, attended, [self.out.to(Epilogue::add_to(x))]);

        self.layer_norm2.pack(pool, x, normed);
        let output = inner.begin_write(x.rows(), self.fc1.outputs()).with_activation(self.activation);
        matmuls(pool, normed, [self.fc1.to(output)]);
        inner.finish_write(pool);
        matmuls(pool, inner, [self.fc2.to(Epilogue::add_to(x))]);
    }

    /// Attention among the patches of each tile, with queries, keys and values of type `E`.
    fn attend<E: Element>(
        &self,
        pool: &Pool,
        encoding: &TileEncoding,
        normed: &PackedLhs,
        heads: &mut Matrix<E>,
        scratch: &mut AttentionScratch,
        attended: &mut PackedLhs,
    ) {
        let TileEncoding { tiles, patches, seen, .. } = encoding;
        let (rows, hidden) = (normed.rows(), normed.columns());
        heads.resize(rows, 3 * hidden);
        let [q, k, v] = Epilogue::store(heads).split_columns([hidden; 3]);
        matmuls(pool, normed, [self.q.to(q), self.k.to(k), self.v.to(v)]);
        let width = hidden / self.heads;
        let part = |start| Heads {
            values: heads.values(),
            start,
            batch: patches * heads.stride(),
            token: heads.stride(),
            head: width,
        };
        let shape = AttentionShape {
            batch: *tiles,
            heads: self.heads,
            kv_heads: self.heads,
            width,
            queries: *patches,
            keys: *patches,
        };
        let visible = seen.as_deref().map_or(KeyMask::All, KeyMask::Keys);
        let qkv = [part(0), part(hidden), part(2 * hidden)];
        attention(pool, shape, qkv, visible, scratch, attended.begin_write(rows, hidden));
        attended.finish_write(pool);
    }
}
