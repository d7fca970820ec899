//! Decoding on GPUs: one token per row at a time, with custom kernels in place of the layers' operations.

mod paged;
mod prompts;

pub use paged::{GpuPages, GpuRow};
pub use prompts::GpuPrompts;

use crate::{DecoderLayer, Error, KvCache, TextModel};
use burn::tensor::{DType, Device};
use smolvlm_config::{HiddenAct, TextConfig};
use smolvlm_kernels::PAGE_TOKENS;
use smolvlm_kernels::gpu::decode_batch::{DecodeBatch, SequenceRow};
use smolvlm_kernels::gpu::decoder::Decoder;
use smolvlm_kernels::gpu::weights::{Cache, LayerCache, LayerWeights, RotaryTables, Sizes, Weights, contiguous_bases};
use smolvlm_nn::gpu::tensor::{Handle, buffer, client, element, own_buffer};
use smolvlm_nn::{Linear, RmsNorm, Rotary};
use std::fmt;

/// A decoder on the text model's weights as GPU buffers, which it shares with the model.
pub struct GpuDecoder {
    decoder: Decoder,
    /// Shape of the keys and values of a token in a layer, `[kv_heads, head_dim]`.
    token: [usize; 2],
    heads: usize,
    hidden: usize,
    dtype: DType,
    device: Device,
    inverse_frequencies: Vec<f32>,
}

/// The decoding state of a cache on the GPU. It is not cloned with the cache, since kernels write in place.
#[derive(Default)]
pub(crate) struct GpuState(Option<Box<DecodeState>>);

struct DecodeState {
    batch: DecodeBatch,
    /// Argmax tokens of the last step, which the GPU feeds to the next step unless it is given others.
    argmax: Vec<u32>,
    /// Whether the last step used the argmax tokens of the step before; the next step then probably does, too.
    feeds_argmax: bool,
}

impl Clone for GpuState {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for GpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "GpuState(started)" } else { "GpuState" })
    }
}

impl fmt::Debug for GpuDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GpuDecoder")
    }
}

impl GpuDecoder {
    /// A decoder on the weights of the model and its output projection `head`; without a head, the token embeddings are
    /// the projection. None if the device is not a GPU or there are no kernels for the model.
    pub fn new(model: &TextModel, config: &TextConfig, head: Option<&Linear>) -> Option<Self> {
        let norm = model.norm.weight.val();
        let dtype = norm.dtype();
        let (device, client, weights) = (norm.device(), client(&norm.device())?, element(dtype)?);
        if config.hidden_act != HiddenAct::Silu {
            return None;
        }
        let sizes = Sizes {
            hidden: config.hidden_size,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            vocabulary: config.vocab_size,
            eps: config.rms_norm_eps as f32,
            weights,
        };
        let layers = model.layers.iter().map(layer).collect::<Option<_>>()?;
        let embeddings = buffer(model.embed_tokens.weight.val());
        let head = match head {
            Some(head) => linear(head)?,
            None => embeddings.clone(),
        };
        let weights = Weights { embeddings, layers, norm: buffer(norm), head };
        let decoder = Decoder::new(client, sizes, weights)?;
        let token = [config.num_key_value_heads, config.head_dim];
        let inverse_frequencies = config.rope.inverse_frequencies(config.head_dim);
        let heads = config.num_attention_heads;
        Some(Self { decoder, token, heads, hidden: config.hidden_size, dtype, device, inverse_frequencies })
    }

    /// Launches a decoding step for one token per row, without waiting for it.
    ///
    /// # Errors
    ///
    /// [`Error::CacheFull`], [`Error::CacheMismatch`] and [`Error::Shape`]; the cache is unchanged then.
    pub fn step(&self, tokens: &[u32], cache: &mut KvCache) -> Result<(), Error> {
        let (rows, hidden) = (cache.rows(), self.hidden);
        if tokens.len() != rows || rows == 0 {
            return Err(Error::Shape { found: [tokens.len(), 1, hidden], rows, hidden });
        }
        cache.check_model(self.dtype, self.decoder.layers())?;
        cache.check_room(1)?;
        if cache.gpu.0.is_none() {
            let batch = self.batch(cache);
            cache.gpu.0 = Some(Box::new(DecodeState { batch, argmax: Vec::new(), feeds_argmax: false }));
        }
        let Some(state) = &mut cache.gpu.0 else { return Ok(()) };
        state.feeds_argmax = state.argmax == tokens;
        state.batch.step(&self.decoder, tokens, state.feeds_argmax);
        state.argmax.clear();
        cache.stepped();
        Ok(())
    }

    /// The argmax token of each row after the last step, with its logit.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn argmax(&self, cache: &mut KvCache) -> Result<Vec<(u32, f32)>, String> {
        let Some(state) = &mut cache.gpu.0 else { return Ok(Vec::new()) };
        let argmax = state.batch.argmax(&self.decoder, state.feeds_argmax)?;
        state.argmax = argmax.iter().map(|(token, _)| *token).collect();
        Ok(argmax)
    }

    /// The logits of the last step, `[rows, vocabulary]`.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn logits(&self, cache: &KvCache) -> Result<Vec<f32>, String> {
        cache.gpu.0.as_ref().map_or(Ok(Vec::new()), |state| state.batch.logits(&self.decoder, cache.rows()))
    }

    fn batch(&self, cache: &mut KvCache) -> DecodeBatch {
        let (rotary, capacity) = (rotary_tables(&cache.rotary, cache.capacity()), cache.capacity());
        let buffers = buffers(cache);
        let mut batch = DecodeBatch::new(&self.decoder, buffers, rotary, cache.rows(), capacity.div_ceil(PAGE_TOKENS));
        let sequence = |(row, &padding): (usize, &usize)| SequenceRow {
            len: cache.len(),
            padding,
            bases: contiguous_bases(row, self.token[0], capacity),
            room: capacity,
        };
        batch.place(&cache.padding.iter().enumerate().map(sequence).collect::<Vec<_>>());
        batch
    }
}

/// The buffers of a cache, in which a head of a row has `capacity` rows.
fn buffers(cache: &mut KvCache) -> Cache {
    let (capacity, rows) = (cache.capacity(), cache.rows());
    let own = |layer: &mut crate::LayerCache| LayerCache {
        keys: own_buffer(&mut layer.keys),
        values: own_buffer(&mut layer.values),
    };
    Cache { layers: cache.layers.iter_mut().map(own).collect(), head_stride: capacity, tokens: rows * capacity }
}

fn rotary_tables(rotary: &Rotary, positions: usize) -> RotaryTables {
    RotaryTables { tables: rotary.tables().map(buffer), positions }
}

fn layer(layer: &DecoderLayer) -> Option<LayerWeights> {
    let (attention, mlp) = (&layer.self_attn, &layer.mlp);
    Some(LayerWeights {
        input_norm: norm(&layer.input_layernorm),
        q: linear(&attention.q_proj)?,
        k: linear(&attention.k_proj)?,
        v: linear(&attention.v_proj)?,
        o: linear(&attention.o_proj)?,
        mlp_norm: norm(&layer.post_attention_layernorm),
        gate: linear(&mlp.gate_proj)?,
        up: linear(&mlp.up_proj)?,
        down: linear(&mlp.down_proj)?,
    })
}

fn norm(norm: &RmsNorm) -> Handle {
    buffer(norm.weight.val())
}

/// The weight of a linear layer without bias and adapter; none for other layers.
fn linear(linear: &Linear) -> Option<Handle> {
    (linear.bias.is_none() && linear.adapter.is_none()).then(|| buffer(linear.weight.val()))
}
