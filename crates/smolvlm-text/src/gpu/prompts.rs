//! Prompts whose launches are recorded and replayed.

use super::GpuDecoder;
use crate::{Error, LayerCache, LayerContext, TextModel};
use burn::tensor::Tensor;
use smolvlm_kernels::gpu::prompt_cache::PromptCache;
use smolvlm_kernels::gpu::recording::Recording;
use smolvlm_kernels::gpu::weights::LayerCache as LayerBuffers;
use smolvlm_nn::gpu::tensor::{Handle, buffer, own_buffer};
use smolvlm_nn::gpu::{copy_into, suits_recording};
use smolvlm_nn::{AttentionMask, Rotary};
use std::fmt;

/// Lengths are rounded up to a multiple of this, so that few lengths are recorded.
const LENGTH_STEP: usize = 128;
/// Minimum length for which there is memory.
const MIN_CAPACITY: usize = 512;
/// Number of lengths whose recordings are kept: those used last. Each keeps the memory of its intermediate results.
const MAX_RECORDINGS: usize = 4;
/// The longest prompt that is recorded: more than that of a photograph in tiles.
const MAX_TOKENS: usize = 2048;

/// Prompts of one row from its first token, one at a time in the same memory. Launches of a length are recorded when it
/// occurs for the second time. On an NVIDIA H200, launching a prompt's kernels one by one took 32 ms whatever its
/// length.
///
/// Prompts are padded on the right: with a causal mask, no token attends to the padding.
pub struct GpuPrompts {
    memory: Memory,
    /// By length, the one used last at the end.
    recordings: Vec<(usize, Recording)>,
}

/// Memory that all prompts use.
struct Memory {
    cache: PromptCache,
    rotary: Rotary,
    /// The embeddings, `[1, capacity, hidden]`.
    input: Tensor<3>,
    /// Outputs of the model, likewise.
    output: Tensor<3>,
    /// The buffers of both. The tensors are never written through Burn, which could give them others.
    buffers: [Handle; 2],
}

impl fmt::Debug for GpuPrompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuPrompts").field("capacity", &self.memory.cache.capacity()).finish_non_exhaustive()
    }
}

impl GpuPrompts {
    /// Memory for short prompts of a model; it grows with the longest one.
    pub fn new(decoder: &GpuDecoder) -> Self {
        Self { memory: Memory::new(decoder, MIN_CAPACITY), recordings: Vec::new() }
    }

    /// The keys and values of the last prompt.
    pub(super) fn cache(&self) -> &PromptCache {
        &self.memory.cache
    }

    /// Whether a prompt of so many tokens is short enough; the time of longer ones is that of their arithmetic.
    pub fn suits(decoder: &GpuDecoder, tokens: usize) -> bool {
        let length = tokens.next_multiple_of(LENGTH_STEP);
        length <= MAX_TOKENS && suits_recording(&decoder.device, decoder.dtype, decoder.heads, length)
    }

    /// Runs the embeddings of a prompt that [`suits`](Self::suits), `[1, T, hidden]`, through the decoder's model.
    /// Returns its outputs, of the same shape, which the next prompt overwrites.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for embeddings of another shape, and [`Error::CacheFull`] for more tokens.
    pub fn run(&mut self, decoder: &GpuDecoder, model: &TextModel, embeds: Tensor<3>) -> Result<Tensor<3>, Error> {
        let found = embeds.dims();
        let [rows, tokens, hidden] = found;
        if rows != 1 || tokens == 0 || hidden != decoder.hidden {
            return Err(Error::Shape { found, rows: 1, hidden: decoder.hidden });
        }
        if tokens > MAX_TOKENS {
            return Err(Error::CacheFull { tokens, used: 0, capacity: MAX_TOKENS });
        }
        let length = tokens.next_multiple_of(LENGTH_STEP);
        if length > self.memory.cache.capacity() {
            self.recordings.clear();
            self.memory = Memory::new(decoder, length.next_power_of_two());
        }
        let memory = &self.memory;
        let mut recording = match self.recordings.iter().position(|(known, _)| *known == length) {
            Some(index) => self.recordings.remove(index).1,
            None => memory.recording(decoder),
        };
        // The padding of an earlier prompt could have been NaN, which a weight of zero does not hide.
        let prepare = |_: bool| copy_into(length * hidden, embeds.clone(), &memory.input);
        recording.run(decoder.decoder.client(), prepare, || memory.launch(decoder, model, length));
        self.recordings.push((length, recording));
        if self.recordings.len() > MAX_RECORDINGS {
            self.recordings.remove(0);
        }
        Ok(memory.output.clone().narrow(1, 0, tokens))
    }
}

impl Memory {
    fn new(decoder: &GpuDecoder, capacity: usize) -> Self {
        let GpuDecoder { device, dtype, hidden, inverse_frequencies, .. } = decoder;
        let [mut input, mut output] = [(); 2].map(|()| Tensor::zeros([1, capacity, *hidden], (device, *dtype)));
        let buffers = [&mut input, &mut output].map(own_buffer);
        Self {
            cache: PromptCache::new(&decoder.decoder, capacity),
            rotary: Rotary::new(inverse_frequencies, capacity, device, *dtype),
            input,
            output,
            buffers,
        }
    }

    fn recording(&self, decoder: &GpuDecoder) -> Recording {
        let written = self.cache.handles().chain(&self.buffers).cloned().collect();
        Recording::new(decoder.decoder.weights(), written)
    }

    /// Launches the layers and the final norm on the first `length` rows of the input.
    fn launch(&self, decoder: &GpuDecoder, model: &TextModel, length: usize) {
        let GpuDecoder { ref device, dtype, hidden, token: [kv_heads, head_dim], .. } = *decoder;
        let (cos, sin) = self.rotary.range(0, length);
        let context = LayerContext { cos: &cos, sin: &sin, mask: &AttentionMask::Causal };
        let mut x = self.input.clone().narrow(1, 0, length);
        for (index, layer) in model.layers.iter().enumerate() {
            // Tensors may get other memory each time.
            let mut found = LayerCache::for_prompt([1, kv_heads, length, head_dim], device, dtype);
            x = layer.forward(x, context, Some(&mut found));
            let found = LayerBuffers { keys: buffer(found.keys), values: buffer(found.values) };
            self.cache.fill(&decoder.decoder, index, &found, length);
        }
        copy_into(length * hidden, model.norm.forward(x), &self.output);
    }
}
