//! The decoder without its output projection.

use crate::Error;
use crate::cache::KvCache;
use crate::layer::{DecoderLayer, LayerContext};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use smolvlm_config::TextConfig;
use smolvlm_nn::{AttentionMask, Embedding, Linear, RmsNorm, Rotary};

/// A Llama decoder (Touvron et al. 2023, arXiv 2302.13971), without its output projection.
#[derive(Module, Debug)]
pub struct TextModel {
    /// Token embeddings, one row per token id.
    pub embed_tokens: Embedding,
    /// Decoder layers.
    pub layers: Vec<DecoderLayer>,
    /// Final norm.
    pub norm: RmsNorm,
}

/// The output of the decoder.
#[derive(Debug, Clone)]
pub struct TextOutput {
    /// After the final norm, `[B, T, hidden]`.
    pub last_hidden_state: Tensor<3>,
    /// On request: the embeddings, then the output of every layer, the last one after the final norm; each
    /// `[B, T, hidden]`.
    pub hidden_states: Vec<Tensor<3>>,
}

impl TextModel {
    /// A randomly initialized model; parameters are allocated on first use.
    pub fn init(config: &TextConfig, device: &Device) -> Self {
        Self {
            embed_tokens: Embedding::init(config.vocab_size, config.hidden_size, config.initializer_range, device),
            layers: (0..config.num_hidden_layers).map(|_| DecoderLayer::init(config, device)).collect(),
            norm: RmsNorm::init(config.hidden_size, config.rms_norm_eps, device),
        }
    }

    /// The linear layers with their paths in the model.
    pub fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        let layers = self.layers.iter_mut().enumerate().flat_map(|(index, layer)| {
            let (attention, mlp) = (&mut layer.self_attn, &mut layer.mlp);
            let named = [
                ("self_attn.q_proj", &mut attention.q_proj),
                ("self_attn.k_proj", &mut attention.k_proj),
                ("self_attn.v_proj", &mut attention.v_proj),
                ("self_attn.o_proj", &mut attention.o_proj),
                ("mlp.gate_proj", &mut mlp.gate_proj),
                ("mlp.up_proj", &mut mlp.up_proj),
                ("mlp.down_proj", &mut mlp.down_proj),
            ];
            named.map(|(name, linear)| (format!("layers.{index}.{name}"), linear))
        });
        layers.collect()
    }

    /// Embeds token ids: at least one per row, all below the vocabulary size.
    ///
    /// # Shapes
    ///
    /// `[B, T]` to `[B, T, hidden]`.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.embed_tokens.forward(ids)
    }

    /// Runs the next tokens of every row through the layers and appends their keys and values to the cache.
    ///
    /// # Shapes
    ///
    /// `[B, T, hidden]` to the same, with `B` rows in the cache.
    ///
    /// # Errors
    ///
    /// [`Error::CacheFull`], [`Error::CacheMismatch`] and [`Error::Shape`]; the cache is unchanged then.
    pub fn forward(&self, embeds: Tensor<3>, cache: &mut KvCache, hidden_states: bool) -> Result<TextOutput, Error> {
        let (found, width) = (embeds.dims(), self.norm.weight.val().dims()[0]);
        if found[0] != cache.rows() || found[1] == 0 || found[2] != width {
            return Err(Error::Shape { found, rows: cache.rows(), hidden: width });
        }
        cache.check_model(self.norm.weight.val().dtype(), self.layers.len())?;
        let positions = cache.positions(found[1], &embeds.device())?;
        cache.leave_gpu();
        let context = LayerContext { cos: &positions.cos, sin: &positions.sin, mask: &positions.mask };
        let mut x = embeds;
        let mut kept = Vec::new();
        for (layer, cache) in self.layers.iter().zip(&mut cache.layers) {
            if hidden_states {
                kept.push(x.clone());
            }
            x = layer.forward(x, context, Some(cache));
        }
        cache.advance(found[1]);
        let x = self.norm.forward(x);
        if hidden_states {
            kept.push(x.clone());
        }
        Ok(TextOutput { last_hidden_state: x, hidden_states: kept })
    }

    /// Runs complete sequences through the layers without a cache, for training. Rows may be right-padded; with the
    /// causal mask no real token attends to the padding.
    ///
    /// # Shapes
    ///
    /// `[B, T, hidden]` to the same.
    pub fn forward_without_cache(&self, config: &TextConfig, embeds: Tensor<3>) -> Tensor<3> {
        let (device, tokens) = (embeds.device(), embeds.dims()[1]);
        let frequencies = config.rope.inverse_frequencies(config.head_dim);
        let (cos, sin) = Rotary::new(&frequencies, tokens, &device, embeds.dtype()).range(0, tokens);
        let context = LayerContext { cos: &cos, sin: &sin, mask: &AttentionMask::Causal };
        let x = self.layers.iter().fold(embeds, |x, layer| layer.forward(x, context, None));
        self.norm.forward(x)
    }
}

#[cfg(test)]
mod tests {
    use super::TextModel;
    use crate::{Error, KvCache, LayerCache, LayerContext};
    use burn::tensor::{DType, Device, Int, Tensor, TensorData};
    use smolvlm_config::TextConfig;
    use smolvlm_nn::{AttentionMask, Rotary};

    fn config() -> TextConfig {
        TextConfig {
            vocab_size: 50,
            hidden_size: 24,
            intermediate_size: 32,
            num_hidden_layers: 3,
            num_attention_heads: 6,
            num_key_value_heads: 2,
            head_dim: 8,
            initializer_range: 0.3,
            ..TextConfig::default()
        }
    }

    fn ids(rows: &[&[i32]]) -> Tensor<2, Int> {
        let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
        Tensor::from_data(data, &Device::flex())
    }

    fn run(model: &TextModel, cache: &mut KvCache, rows: &[&[i32]]) -> Tensor<3> {
        model.forward(model.embed(ids(rows)), cache, false).unwrap().last_hidden_state
    }

    fn assert_close(a: Tensor<3>, b: Tensor<3>) {
        assert_eq!(a.dims(), b.dims());
        let worst = (a - b).abs().max().into_scalar::<f32>();
        assert!(worst < 1e-5, "differ by {worst}");
    }

    const TOKENS: [i32; 9] = [3, 14, 15, 9, 26, 5, 35, 8, 9];

    #[test]
    fn chunked_and_single_token_passes_equal_one_pass() {
        let model = TextModel::init(&config(), &Device::flex());
        let whole = run(&model, &mut model.new_cache(&config(), &[0], 9), &[&TOKENS]);
        for chunks in [&[4, 5][..], &[1; 9], &[6, 1, 2]] {
            let mut cache = model.new_cache(&config(), &[0], 9);
            let mut rest = &TOKENS[..];
            let parts = chunks.iter().map(|&len| {
                let (chunk, after) = rest.split_at(len);
                rest = after;
                run(&model, &mut cache, &[chunk])
            });
            assert_close(Tensor::cat(parts.collect(), 1), whole.clone());
        }
    }

    #[test]
    fn padded_row_equals_the_row_alone() {
        let model = TextModel::init(&config(), &Device::flex());
        let mut cache = model.new_cache(&config(), &[0, 4], 10);
        let together = run(&model, &mut cache, &[&TOKENS, &[2, 2, 2, 2, 7, 21, 11, 4, 40]]);
        assert!(!together.clone().is_nan().any().into_scalar::<bool>());
        let mut alone = model.new_cache(&config(), &[0], 6);
        let solo = run(&model, &mut alone, &[&[7, 21, 11, 4, 40]]);
        assert_close(together.clone().slice([1..2, 4..9, 0..24]), solo);
        let first = run(&model, &mut model.new_cache(&config(), &[0], 9), &[&TOKENS]);
        assert_close(together.slice([0..1, 0..9, 0..24]), first);
        // The same holds for the tokens that follow.
        let next = run(&model, &mut cache, &[&[1], &[33]]);
        assert_close(next.slice([1..2, 0..1, 0..24]), run(&model, &mut alone, &[&[33]]));
    }

    #[test]
    fn single_layer_equals_the_same_layer_in_the_model() {
        let (config, device) = (config(), Device::flex());
        let model = TextModel::init(&config, &device);
        let output = model.forward(model.embed(ids(&[&TOKENS])), &mut model.new_cache(&config, &[0], 9), true).unwrap();
        let rotary = Rotary::new(&config.rope.inverse_frequencies(8), 9, &device, DType::F32);
        let mut cache = LayerCache::new([1, 2, 9, 8], &device, DType::F32);
        let mut x = output.hidden_states[0].clone();
        for (start, len) in [(0, 6), (6, 3)] {
            let (cos, sin) = rotary.range(start, len);
            let context = LayerContext { cos: &cos, sin: &sin, mask: &AttentionMask::Causal };
            let part = model.layers[0].forward(x.clone().narrow(1, start, len), context, Some(&mut cache));
            x = x.slice_assign([0..1, start..start + len, 0..24], part);
        }
        assert_eq!(cache.len(), 9);
        assert_close(x, output.hidden_states[1].clone());
    }

    #[test]
    fn truncated_cache_can_be_continued() {
        let model = TextModel::init(&config(), &Device::flex());
        let mut cache = model.new_cache(&config(), &[0], 9);
        run(&model, &mut cache, &[&TOKENS]);
        cache.truncate(5);
        assert_eq!(cache.len(), 5);
        let again = run(&model, &mut cache, &[&TOKENS[5..]]);
        let whole = run(&model, &mut model.new_cache(&config(), &[0], 9), &[&TOKENS]);
        assert_close(again, whole.narrow(1, 5, 4));
    }

    #[test]
    fn rows_can_be_dropped_moved_and_repeated() {
        let model = TextModel::init(&config(), &Device::flex());
        let mut cache = model.new_cache(&config(), &[0, 4], 10);
        run(&model, &mut cache, &[&TOKENS, &[2, 2, 2, 2, 7, 21, 11, 4, 40]]);
        let next = run(&model, &mut cache.clone(), &[&[1], &[33]]);
        cache.select_rows(&[1, 0, 1]).unwrap();
        assert_eq!(cache.rows(), 3);
        let moved = run(&model, &mut cache, &[&[33], &[1], &[33]]);
        assert_close(moved.clone().narrow(0, 1, 1), next.clone().narrow(0, 0, 1));
        assert_close(moved.clone().narrow(0, 0, 1), next.clone().narrow(0, 1, 1));
        assert_close(moved.narrow(0, 2, 1), next.narrow(0, 1, 1));
        assert!(matches!(cache.select_rows(&[3]), Err(Error::Row { row: 3, rows: 3 })));
        assert_eq!(cache.rows(), 3);
    }

    #[test]
    fn stacked_caches_continue_as_a_batch() {
        let model = TextModel::init(&config(), &Device::flex());
        let rows: [&[i32]; 3] = [&TOKENS, &[7, 21, 11], &[4, 40, 5, 5, 6]];
        let mut alone: Vec<KvCache> = rows
            .map(|row| {
                let mut cache = model.new_cache(&config(), &[0], 10);
                run(&model, &mut cache, &[row]);
                cache
            })
            .into();
        let mut stacked = KvCache::stack(&config(), &alone, 10).unwrap().unwrap();
        assert_eq!((stacked.rows(), stacked.len(), stacked.position(1, 8)), (3, 9, 2));
        let together = run(&model, &mut stacked, &[&[1], &[2], &[3]]);
        for (row, cache) in alone.iter_mut().enumerate() {
            let next = run(&model, cache, &[&[row as i32 + 1]]);
            assert_close(together.clone().narrow(0, row, 1), next);
        }
        assert!(matches!(KvCache::stack(&config(), &alone, 8), Err(Error::CacheFull { .. })));
        assert!(KvCache::stack(&config(), &[], 8).unwrap().is_none());
    }

    #[test]
    fn reserve_keeps_the_contents() {
        let model = TextModel::init(&config(), &Device::flex());
        let mut cache = model.new_cache(&config(), &[0], 5);
        cache.reserve(&config(), 6);
        run(&model, &mut cache, &[&TOKENS[..6]]);
        cache.reserve(&config(), 3);
        assert_eq!((cache.len(), cache.capacity()), (6, 6));
        cache.reserve(&config(), 9);
        let rest = run(&model, &mut cache, &[&TOKENS[6..]]);
        let whole = run(&model, &mut model.new_cache(&config(), &[0], 9), &[&TOKENS]);
        assert_close(rest, whole.narrow(1, 6, 3));
    }

    #[test]
    fn mismatched_inputs_and_caches_are_errors() {
        let model = TextModel::init(&config(), &Device::flex());
        let mut cache = model.new_cache(&config(), &[0], 4);
        let forward = |cache: &mut KvCache, rows: &[&[i32]]| model.forward(model.embed(ids(rows)), cache, true);
        let error = forward(&mut cache, &[&TOKENS]).unwrap_err();
        assert!(matches!(error, Error::CacheFull { tokens: 9, used: 0, capacity: 4 }), "{error}");
        assert!(matches!(forward(&mut cache, &[&[1], &[2]]).unwrap_err(), Error::Shape { .. }));
        let output = forward(&mut cache, &[&TOKENS[..4]]).unwrap();
        assert_eq!(output.hidden_states.len(), 4);
        assert!(forward(&mut cache, &[&[1]]).is_err());
        let nothing = Tensor::zeros([1, 0, 24], &Device::flex());
        assert!(matches!(model.forward(nothing, &mut cache, false).unwrap_err(), Error::Shape { .. }));
        for (layers, dtype) in [(2, DType::F32), (3, DType::BF16)] {
            let other = TextConfig { num_hidden_layers: layers, ..config() };
            let mut other = KvCache::new(&other, &[0], 4, &Device::flex(), dtype);
            assert!(matches!(forward(&mut other, &[&[1]]).unwrap_err(), Error::CacheMismatch { .. }));
        }
        assert_eq!(cache.len(), 4);
    }
}
