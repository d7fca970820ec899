//! The decoder layer.

use crate::cache::LayerCache;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use smolvlm_config::TextConfig;
use smolvlm_kernels::Activation;
use smolvlm_nn::{AttentionMask, Linear, RmsNorm, activation_kernel, attention, rotate};

/// A pre-norm transformer block.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Norm before the attention.
    pub input_layernorm: RmsNorm,
    /// Causal self-attention.
    pub self_attn: SelfAttention,
    /// Norm before the feed-forward block.
    pub post_attention_layernorm: RmsNorm,
    /// Gated feed-forward block.
    pub mlp: TextMlp,
}

/// Grouped-query attention with rotary position embeddings.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Query projection.
    pub q_proj: Linear,
    /// Key projection.
    pub k_proj: Linear,
    /// Value projection.
    pub v_proj: Linear,
    /// Output projection.
    pub o_proj: Linear,
    /// Width of a head.
    pub head_dim: usize,
}

/// The gated feed-forward block, `down(act(gate(x)) * up(x))`.
#[derive(Module, Debug)]
pub struct TextMlp {
    /// Gate projection to the intermediate width; its output goes through the activation.
    pub gate_proj: Linear,
    /// Projection to the intermediate width.
    pub up_proj: Linear,
    /// Projection back to the hidden width.
    pub down_proj: Linear,
    #[module(skip)]
    pub(crate) activation: Activation,
}

/// Rotary tables and attention mask, which all layers share.
#[derive(Debug, Clone, Copy)]
pub struct LayerContext<'a> {
    /// Cosines of the new tokens' positions, `[B or 1, 1, T, head_dim]`.
    pub cos: &'a Tensor<4>,
    /// Sines, likewise.
    pub sin: &'a Tensor<4>,
    /// The attention mask.
    pub mask: &'a AttentionMask,
}

impl DecoderLayer {
    /// A randomly initialized layer; parameters are allocated on first use.
    pub fn init(config: &TextConfig, device: &Device) -> Self {
        let (hidden, inner, range) = (config.hidden_size, config.intermediate_size, config.initializer_range);
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        let linear = |input, output, bias| Linear::init(input, output, bias, range, device);
        let norm = || RmsNorm::init(hidden, config.rms_norm_eps, device);
        Self {
            input_layernorm: norm(),
            self_attn: SelfAttention {
                q_proj: linear(hidden, queries, config.attention_bias),
                k_proj: linear(hidden, keys, config.attention_bias),
                v_proj: linear(hidden, keys, config.attention_bias),
                o_proj: linear(queries, hidden, config.attention_bias),
                head_dim: config.head_dim,
            },
            post_attention_layernorm: norm(),
            mlp: TextMlp {
                gate_proj: linear(hidden, inner, config.mlp_bias),
                up_proj: linear(hidden, inner, config.mlp_bias),
                down_proj: linear(inner, hidden, config.mlp_bias),
                activation: activation_kernel(config.hidden_act),
            },
        }
    }

    /// Applies the block. The cache grows by `T` tokens; without a cache the tokens attend only to each other.
    ///
    /// # Shapes
    ///
    /// `[B, T, hidden]` to the same.
    pub fn forward(&self, x: Tensor<3>, context: LayerContext<'_>, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(self.input_layernorm.forward(x), context, cache);
        x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x))
    }
}

impl SelfAttention {
    /// Computes queries, keys and values of the tokens, with rotary embeddings applied to queries and keys.
    ///
    /// # Shapes
    ///
    /// `[B, T, hidden]` to `[B, heads, T, head_dim]` and twice `[B, kv_heads, T, head_dim]`.
    pub fn project(&self, x: Tensor<3>, cos: &Tensor<4>, sin: &Tensor<4>) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
        let [rows, tokens, _] = x.dims();
        let split = |proj: &Linear| {
            let out = proj.forward(x.clone());
            let heads = out.dims()[2] / self.head_dim;
            out.reshape([rows, tokens, heads, self.head_dim]).swap_dims(1, 2)
        };
        let rotated = |heads| rotate(heads, cos.clone(), sin.clone());
        (rotated(split(&self.q_proj)), rotated(split(&self.k_proj)), split(&self.v_proj))
    }

    /// Applies the attention. The cache grows by `T` tokens; without a cache the tokens attend only to each other.
    ///
    /// # Shapes
    ///
    /// `[B, T, hidden]` to the same.
    pub fn forward(&self, x: Tensor<3>, context: LayerContext<'_>, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let [rows, tokens, _] = x.dims();
        let (queries, keys, values) = self.project(x, context.cos, context.sin);
        let (keys, values) = match cache {
            Some(cache) => cache.extend(keys, values),
            None => (keys, values),
        };
        let out = attention(queries, keys, values, context.mask);
        let width = out.dims()[1] * self.head_dim;
        self.o_proj.forward(out.swap_dims(1, 2).reshape([rows, tokens, width]))
    }
}

impl TextMlp {
    /// Applies the feed-forward block.
    ///
    /// # Shapes
    ///
    /// `[B, T, hidden]` to the same.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = self.gate_proj.forward(x.clone());
        self.down_proj.forward(smolvlm_nn::gate(self.activation, gate, self.up_proj.forward(x)))
    }
}
