//! A decoder layer on packed weights.

use super::Workspace;
use smolvlm_config::TextConfig;
use smolvlm_kernels::cpu::{Epilogue, KvPages, Matrix, Pool, Segment, gated_matmul, matmuls, paged_attention, rotate};
use smolvlm_kernels::{Activation, PackedFormat};
use smolvlm_nn::{PackedLinear, PackedRmsNorm, PackedSource, activation_kernel};

#[derive(Debug)]
pub(super) struct PackedLayer {
    input_norm: PackedRmsNorm,
    q: PackedLinear,
    k: PackedLinear,
    v: PackedLinear,
    o: PackedLinear,
    post_attention_norm: PackedRmsNorm,
    gate: PackedLinear,
    up: PackedLinear,
    down: PackedLinear,
    activation: Activation,
    heads: usize,
    head_dim: usize,
}

impl PackedLayer {
    pub(super) fn load<S: PackedSource>(
        config: &TextConfig,
        source: &S,
        path: &str,
        format: PackedFormat,
    ) -> Result<Self, S::Error> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        let norm = |name: &str| PackedRmsNorm::load(source, &format!("{path}.{name}"), hidden, config.rms_norm_eps);
        let attention = |name: &str, shape| {
            PackedLinear::load(source, &format!("{path}.self_attn.{name}"), shape, config.attention_bias, format)
        };
        let mlp = |name: &str, shape| {
            PackedLinear::load(source, &format!("{path}.mlp.{name}"), shape, config.mlp_bias, format)
        };
        Ok(Self {
            input_norm: norm("input_layernorm")?,
            q: attention("q_proj", [queries, hidden])?,
            k: attention("k_proj", [keys, hidden])?,
            v: attention("v_proj", [keys, hidden])?,
            o: attention("o_proj", [hidden, queries])?,
            post_attention_norm: norm("post_attention_layernorm")?,
            gate: mlp("gate_proj", [inner, hidden])?,
            up: mlp("up_proj", [inner, hidden])?,
            down: mlp("down_proj", [hidden, inner])?,
            activation: activation_kernel(config.hidden_act),
            heads: config.num_attention_heads,
            head_dim: config.head_dim,
        })
    }

    /// Applies the block to the rows of `x`, with this layer's part of the pages.
    pub(super) fn run(
        &self,
        pool: &Pool,
        x: &mut Matrix<f32>,
        segments: &[Segment<'_>],
        (pages, layer): (&mut KvPages, usize),
        workspace: &mut Workspace,
    ) {
        let Workspace { normed, attended, inner, projected, rotary, scratch } = workspace;
        let (q_width, kv_width) = (self.q.outputs(), self.k.outputs());

        self.input_norm.pack(pool, x, normed);
        projected.resize(x.rows(), q_width + 2 * kv_width);
        let [q, k, v] = Epilogue::store(projected).split_columns([q_width, kv_width, kv_width]);
        matmuls(pool, normed, [self.q.to(q), self.k.to(k), self.v.to(v)]);
        projected.for_rows(pool, |row, values| {
            let (cos, sin) = rotary.row(row).split_at(self.head_dim / 2);
            values[..q_width + kv_width].chunks_exact_mut(self.head_dim).for_each(|head| rotate(head, cos, sin));
        });
        pages.store(pool, layer, segments, projected, q_width, q_width + kv_width);
        let output = attended.begin_write(x.rows(), q_width);
        paged_attention(pool, pages, layer, segments, self.heads, projected, scratch, output);
        attended.finish_write(pool);
        matmuls(pool, attended, [self.o.to(Epilogue::add_to(x))]);

        self.post_attention_norm.pack(pool, x, normed);
        let output = inner.begin_write(x.rows(), self.gate.outputs());
        gated_matmul(pool, normed, [self.gate.parts(), self.up.parts()], self.activation, output);
        inner.finish_write(pool);
        matmuls(pool, inner, [self.down.to(Epilogue::add_to(x))]);
    }
}
