//! The vision encoder.

use crate::embeddings::VisionEmbeddings;
use crate::layer::EncoderLayer;
use crate::{Error, PatchMask};
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use smolvlm_config::VisionConfig;
use smolvlm_nn::{AttentionMask, LayerNorm, Linear};

/// The SigLIP vision encoder (Zhai et al. 2023, arXiv 2303.15343), without its pooling head.
#[derive(Module, Debug)]
pub struct VisionEncoder {
    /// Patch and position embeddings.
    pub embeddings: VisionEmbeddings,
    /// Encoder layers.
    pub layers: Vec<EncoderLayer>,
    /// Final norm.
    pub post_layernorm: LayerNorm,
}

/// The output of the encoder.
#[derive(Debug, Clone)]
pub struct VisionOutput {
    /// After the final norm, `[T, patches, hidden]`.
    pub last_hidden_state: Tensor<3>,
    /// On request: the embeddings, then the output of every layer, each `[T, patches, hidden]`.
    pub hidden_states: Vec<Tensor<3>>,
}

impl VisionEncoder {
    /// A randomly initialized encoder; parameters are allocated on first use.
    pub fn init(config: &VisionConfig, device: &Device) -> Self {
        Self {
            embeddings: VisionEmbeddings::init(config, device),
            layers: (0..config.num_hidden_layers).map(|_| EncoderLayer::init(config, device)).collect(),
            post_layernorm: LayerNorm::init(config.hidden_size, config.layer_norm_eps, device),
        }
    }

    /// The linear layers with their paths in the encoder.
    pub fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        let layers = self.layers.iter_mut().enumerate().flat_map(|(index, layer)| {
            let (attention, mlp) = (&mut layer.self_attn, &mut layer.mlp);
            let named = [
                ("self_attn.q_proj", &mut attention.q_proj),
                ("self_attn.k_proj", &mut attention.k_proj),
                ("self_attn.v_proj", &mut attention.v_proj),
                ("self_attn.out_proj", &mut attention.out_proj),
                ("mlp.fc1", &mut mlp.fc1),
                ("mlp.fc2", &mut mlp.fc2),
            ];
            named.map(|(name, linear)| (format!("layers.{index}.{name}"), linear))
        });
        layers.collect()
    }

    /// Encodes each tile independently. With a `mask`, no patch attends to invalid patches, whose own features are
    /// finite but meaningless.
    ///
    /// # Shapes
    ///
    /// `[T, channels, H, W]` to `[T, (H / patch) * (W / patch), hidden]`.
    ///
    /// # Errors
    ///
    /// [`Error::TileShape`] and [`Error::MaskShape`] for tiles or a mask of unsupported shape.
    pub fn forward(
        &self,
        tiles: Tensor<4>,
        mask: Option<&PatchMask>,
        hidden_states: bool,
    ) -> Result<VisionOutput, Error> {
        let device = tiles.device();
        let x = self.embeddings.forward(tiles, mask)?;
        let mask = mask.filter(|mask| !mask.is_full()).map_or(AttentionMask::None, |mask| hide_invalid(mask, &device));
        Ok(self.forward_layers(x, &mask, hidden_states))
    }

    /// Runs embeddings of patches through the layers and the final norm.
    ///
    /// # Shapes
    ///
    /// `[T, patches, hidden]` to the same.
    pub fn forward_layers(&self, mut x: Tensor<3>, mask: &AttentionMask, hidden_states: bool) -> VisionOutput {
        let mut kept = Vec::new();
        for layer in &self.layers {
            if hidden_states {
                kept.push(x.clone());
            }
            x = layer.forward(x, mask);
        }
        if hidden_states {
            kept.push(x.clone());
        }
        VisionOutput { last_hidden_state: self.post_layernorm.forward(x), hidden_states: kept }
    }
}

/// Attention mask that excludes invalid patches from the keys. A tile without valid patches keeps all its keys, because
/// a softmax over no keys is undefined and the features of such a tile are not used.
fn hide_invalid(mask: &PatchMask, device: &Device) -> AttentionMask {
    let [tiles, rows, columns] = mask.shape;
    let patches = rows * columns;
    let hidden = mask.valid.chunks(patches).flat_map(|tile| {
        let any = tile.iter().any(|&valid| valid);
        let row: Vec<bool> = tile.iter().map(|&valid| any && !valid).collect();
        std::iter::repeat_n(row, patches).flatten()
    });
    let data = TensorData::new(hidden.collect::<Vec<bool>>(), [tiles, 1, patches, patches]);
    AttentionMask::Hidden(Tensor::<4, Bool>::from_data(data, device))
}

#[cfg(test)]
mod tests {
    use super::{VisionEncoder, VisionOutput};
    use crate::{Error, PatchMask};
    use burn::tensor::{Device, Distribution, Tensor};
    use smolvlm_config::VisionConfig;

    fn encoder() -> VisionEncoder {
        let config = VisionConfig {
            hidden_size: 16,
            intermediate_size: 24,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            image_size: 16,
            patch_size: 4,
            initializer_range: 0.3,
            ..VisionConfig::default()
        };
        VisionEncoder::init(&config, &Device::flex())
    }

    fn tiles(shape: [usize; 4]) -> Tensor<4> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
    }

    fn largest_difference(a: Tensor<3>, b: Tensor<3>) -> f32 {
        (a - b).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn tile_features_do_not_depend_on_the_batch() {
        let (encoder, tiles) = (encoder(), tiles([3, 3, 16, 16]));
        let VisionOutput { last_hidden_state, hidden_states } = encoder.forward(tiles.clone(), None, true).unwrap();
        assert_eq!(last_hidden_state.dims(), [3, 16, 16]);
        assert_eq!(hidden_states.len(), 3);
        let alone = encoder.forward(tiles.narrow(0, 1, 1), None, false).unwrap();
        assert!(alone.hidden_states.is_empty());
        assert!(largest_difference(alone.last_hidden_state, last_hidden_state.narrow(0, 1, 1)) < 1e-5);
    }

    #[test]
    fn valid_patches_do_not_depend_on_invalid_ones() {
        let (encoder, picture) = (encoder(), tiles([1, 3, 8, 16]));
        let padded =
            |value: f32| Tensor::cat(vec![picture.clone(), Tensor::full([1, 3, 8, 16], value, &Device::flex())], 2);
        let mask = PatchMask { shape: [1, 4, 4], valid: [[true; 8], [false; 8]].concat() };
        let run = |value| encoder.forward(padded(value), Some(&mask), false).unwrap().last_hidden_state;
        let (zeros, ones) = (run(0.0), run(1.0));
        assert!(largest_difference(zeros.clone().narrow(1, 0, 8), ones.clone().narrow(1, 0, 8)) < 1e-6);
        assert!(!ones.is_nan().any().into_scalar::<bool>());
        // The valid half without padding is the same image at the same resolution.
        let alone = encoder.forward(picture, None, false).unwrap().last_hidden_state;
        assert!(largest_difference(zeros.narrow(1, 0, 8), alone) < 1e-5);
    }

    #[test]
    fn unsupported_shapes_are_errors() {
        let encoder = encoder();
        assert!(matches!(encoder.forward(tiles([1, 1, 16, 16]), None, false), Err(Error::TileShape { .. })));
        assert!(matches!(encoder.forward(tiles([1, 3, 3, 16]), None, false), Err(Error::TileShape { .. })));
        let mask = PatchMask::full([1, 4, 3]);
        assert!(matches!(encoder.forward(tiles([1, 3, 16, 16]), Some(&mask), false), Err(Error::MaskShape { .. })));
        let mask = PatchMask { shape: [1, 4, 4], valid: vec![true, false] };
        assert!(matches!(encoder.forward(tiles([1, 3, 16, 16]), Some(&mask), false), Err(Error::MaskShape { .. })));
        // Pixels beyond the last complete patch are ignored.
        assert_eq!(encoder.forward(tiles([1, 3, 19, 18]), None, false).unwrap().last_hidden_state.dims(), [1, 16, 16]);
    }
}
