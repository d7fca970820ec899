//! Prompts whose launches are recorded and replayed.

use super::GpuDecoder;
use crate::{Error, KvCache, TextModel};
use burn::tensor::Tensor;
use smolvlm_config::TextConfig;
use smolvlm_kernels::gpu::recording::Recording;
use smolvlm_nn::gpu::copy_into;
use smolvlm_nn::gpu::tensor::{Handle, own_buffer};
use std::fmt;

/// Lengths are rounded up to a multiple of this, so that few lengths are recorded.
const LENGTH_STEP: usize = 128;
/// Minimum length for which there is memory.
const MIN_CAPACITY: usize = 512;
/// Number of lengths whose recordings are kept: those used last.
const MAX_RECORDINGS: usize = 8;

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
    cache: KvCache,
    /// The embeddings, `[1, capacity, hidden]`.
    input: Tensor<3>,
    /// Outputs of the model, likewise.
    output: Tensor<3>,
}

impl fmt::Debug for GpuPrompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuPrompts").field("capacity", &self.memory.cache.capacity()).finish_non_exhaustive()
    }
}

impl GpuPrompts {
    /// The longest prompt that is recorded.
    pub const MAX_TOKENS: usize = 2048;

    /// Memory for short prompts of a model on a GPU; it grows with the longest one.
    pub fn new(model: &TextModel, config: &TextConfig) -> Self {
        Self { memory: Memory::new(model, config, MIN_CAPACITY), recordings: Vec::new() }
    }

    /// Runs the embeddings of a prompt, `[1, T, hidden]` with `T` up to [`MAX_TOKENS`](Self::MAX_TOKENS), through the
    /// model. Returns its outputs, of the same shape, and a cache with its keys and values; both are overwritten by the
    /// next prompt.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for embeddings of another shape, and [`Error::CacheFull`] for more tokens.
    pub fn run(
        &mut self,
        decoder: &GpuDecoder,
        model: &TextModel,
        config: &TextConfig,
        embeds: Tensor<3>,
    ) -> Result<(Tensor<3>, &mut KvCache), Error> {
        let found = embeds.dims();
        let [rows, tokens, hidden] = found;
        if rows != 1 || tokens == 0 || hidden != config.hidden_size {
            return Err(Error::Shape { found, rows: 1, hidden: config.hidden_size });
        }
        if tokens > Self::MAX_TOKENS {
            return Err(Error::CacheFull { tokens, used: 0, capacity: Self::MAX_TOKENS });
        }
        let length = tokens.next_multiple_of(LENGTH_STEP);
        if length > self.memory.cache.capacity() {
            self.recordings.clear();
            self.memory = Memory::new(model, config, length.next_power_of_two());
        }
        let mut recording = match self.recordings.iter().position(|(known, _)| *known == length) {
            Some(index) => self.recordings.remove(index).1,
            None => Recording::new(decoder.decoder.weights(), self.memory.buffers()),
        };
        let Memory { cache, input, output } = &mut self.memory;
        let mut outcome = Ok(());
        // The padding of an earlier prompt could have been NaN, which a weight of zero does not hide.
        let prepare = |_: bool| copy_into(length * hidden, embeds.clone(), input);
        recording.run(decoder.decoder.client(), prepare, || {
            cache.truncate(0);
            let run = model.forward(input.clone().narrow(1, 0, length), cache, false);
            outcome = run.map(|run| copy_into(length * hidden, run.last_hidden_state, output));
        });
        outcome?;
        cache.set_len(tokens);
        self.recordings.push((length, recording));
        if self.recordings.len() > MAX_RECORDINGS {
            self.recordings.remove(0);
        }
        Ok((output.clone().narrow(1, 0, tokens), cache))
    }
}

impl Memory {
    fn new(model: &TextModel, config: &TextConfig, capacity: usize) -> Self {
        let cache = model.new_cache(config, &[0], capacity);
        let weight = model.norm.weight.val();
        let zeros = || {
            let mut zeros = Tensor::zeros([1, capacity, config.hidden_size], (&weight.device(), weight.dtype()));
            // Contiguous and at a fixed address.
            own_buffer(&mut zeros);
            zeros
        };
        Self { cache, input: zeros(), output: zeros() }
    }

    fn buffers(&mut self) -> Vec<Handle> {
        let Self { cache, input, output } = self;
        let layers = cache.layers.iter_mut().flat_map(|layer| [&mut layer.keys, &mut layer.values]);
        layers.map(own_buffer).chain([own_buffer(input), own_buffer(output)]).collect()
    }
}
