//! One layer of the decoder.

use crate::cache::LayerCache;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use smolvlm_config::{Activation as Named, TextConfig};
use smolvlm_kernels::{Activation, AttentionMask, Linear, RmsNorm, attention, rotate};

/// A pre-norm transformer block.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Before the attention.
    pub input_layernorm: RmsNorm,
    /// Every token looks at the ones before it.
    pub self_attn: SelfAttention,
    /// Before the feed-forward block.
    pub post_attention_layernorm: RmsNorm,
    /// Gated feed-forward block.
    pub mlp: TextMlp,
}

/// Attention with rotary positions and grouped key heads.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Queries.
    pub q_proj: Linear,
    /// Keys.
    pub k_proj: Linear,
    /// Values.
    pub v_proj: Linear,
    /// Output.
    pub o_proj: Linear,
    /// Width of a head.
    pub head_dim: usize,
}

/// `down(act(gate(x)) * up(x))`.
#[derive(Module, Debug)]
pub struct TextMlp {
    /// To the inner width, through the activation.
    pub gate_proj: Linear,
    /// To the inner width.
    pub up_proj: Linear,
    /// Back.
    pub down_proj: Linear,
    #[module(skip)]
    pub(crate) activation: Activation,
}

/// What every layer needs besides the hidden states.
#[derive(Debug, Clone, Copy)]
pub struct LayerContext<'a> {
    /// Cosines of the new tokens' positions, `[B or 1, 1, T, head_dim]`.
    pub cos: &'a Tensor<4>,
    /// Sines, likewise.
    pub sin: &'a Tensor<4>,
    /// Which tokens see which.
    pub mask: &'a AttentionMask,
}

impl DecoderLayer {
    /// A fresh layer; nothing is allocated before the first use.
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
                activation: activation(config.hidden_act),
            },
        }
    }

    /// # Shapes
    ///
    /// `[B, T, hidden]` to the same; the cache grows by `T` tokens. Without a cache the tokens see each other alone.
    pub fn forward(&self, x: Tensor<3>, context: LayerContext<'_>, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(self.input_layernorm.forward(x), context, cache);
        x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x))
    }
}

impl SelfAttention {
    /// Queries, keys and values of the tokens, queries and keys rotated to their positions.
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
        let turn = |heads| rotate(heads, cos.clone(), sin.clone());
        (turn(split(&self.q_proj)), turn(split(&self.k_proj)), split(&self.v_proj))
    }

    /// # Shapes
    ///
    /// `[B, T, hidden]` to the same; the cache grows by `T` tokens. Without a cache the tokens see each other alone.
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
    /// # Shapes
    ///
    /// `[B, T, hidden]` to the same.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = self.gate_proj.forward(x.clone());
        self.down_proj.forward(self.activation.gate(gate, self.up_proj.forward(x)))
    }
}

fn activation(named: Named) -> Activation {
    match named {
        Named::GeluTanh => Activation::GeluTanh,
        Named::Gelu => Activation::Gelu,
        Named::Silu => Activation::Silu,
        Named::Relu => Activation::Relu,
    }
}
