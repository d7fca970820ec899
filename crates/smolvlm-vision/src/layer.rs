//! The encoder layer.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use smolvlm_config::VisionConfig;
use smolvlm_kernels::Activation;
use smolvlm_nn::{AttentionMask, LayerNorm, Linear, activate, activation_kernel, attention};

/// A pre-norm transformer block.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// Norm before the attention.
    pub layer_norm1: LayerNorm,
    /// Bidirectional self-attention.
    pub self_attn: SelfAttention,
    /// Norm before the feed-forward block.
    pub layer_norm2: LayerNorm,
    /// Feed-forward block.
    pub mlp: VisionMlp,
}

/// Self-attention among the patches of a tile.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Query projection.
    pub q_proj: Linear,
    /// Key projection.
    pub k_proj: Linear,
    /// Value projection.
    pub v_proj: Linear,
    /// Output projection.
    pub out_proj: Linear,
    /// Number of heads.
    pub heads: usize,
}

/// The feed-forward block, `fc2(act(fc1(x)))`.
#[derive(Module, Debug)]
pub struct VisionMlp {
    /// Projection to the intermediate width.
    pub fc1: Linear,
    /// Projection back to the hidden width.
    pub fc2: Linear,
    #[module(skip)]
    pub(crate) activation: Activation,
}

impl EncoderLayer {
    /// A randomly initialized layer; parameters are allocated on first use.
    pub fn init(config: &VisionConfig, device: &Device) -> Self {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let linear = |input, output| Linear::init(input, output, true, config.initializer_range, device);
        let norm = || LayerNorm::init(hidden, config.layer_norm_eps, device);
        Self {
            layer_norm1: norm(),
            self_attn: SelfAttention {
                q_proj: linear(hidden, hidden),
                k_proj: linear(hidden, hidden),
                v_proj: linear(hidden, hidden),
                out_proj: linear(hidden, hidden),
                heads: config.num_attention_heads,
            },
            layer_norm2: norm(),
            mlp: VisionMlp {
                fc1: linear(hidden, inner),
                fc2: linear(inner, hidden),
                activation: activation_kernel(config.hidden_act),
            },
        }
    }

    /// Applies the block.
    ///
    /// # Shapes
    ///
    /// `[T, patches, hidden]` to the same.
    pub fn forward(&self, x: Tensor<3>, mask: &AttentionMask) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(self.layer_norm1.forward(x), mask);
        x.clone() + self.mlp.forward(self.layer_norm2.forward(x))
    }
}

impl SelfAttention {
    /// Applies the attention.
    ///
    /// # Shapes
    ///
    /// `[T, patches, hidden]` to the same.
    pub fn forward(&self, x: Tensor<3>, mask: &AttentionMask) -> Tensor<3> {
        let [tiles, patches, hidden] = x.dims();
        let split = |proj: &Linear| {
            proj.forward(x.clone()).reshape([tiles, patches, self.heads, hidden / self.heads]).swap_dims(1, 2)
        };
        let out = attention(split(&self.q_proj), split(&self.k_proj), split(&self.v_proj), mask);
        self.out_proj.forward(out.swap_dims(1, 2).reshape([tiles, patches, hidden]))
    }
}

impl VisionMlp {
    /// Applies the feed-forward block.
    ///
    /// # Shapes
    ///
    /// `[T, patches, hidden]` to the same.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(activate(self.activation, self.fc1.forward(x)))
    }
}
