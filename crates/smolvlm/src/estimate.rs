//! What a request costs, before any weight is loaded and any pixel decoded.

use crate::{Error, Options, Progress, Source};
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_processor::{Conversation, Estimate, RenderOptions};

/// What one conversation costs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RequestEstimate {
    /// Tiles and tokens, exactly.
    pub prompt: Estimate,
    /// Memory, about.
    pub memory: MemoryEstimate,
}

/// Memory of a request in bytes, stage by stage. Counted from the shapes of the largest tensors that live together; what the
/// program itself and its allocator take is not in it. Measured with the 256M model in f32, that is 100 to 150 MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// The model's parameters.
    pub weights: u64,
    /// The tiles' pixels.
    pub pixels: u64,
    /// Activations of the vision encoder for the tiles that it takes at once.
    pub vision: u64,
    /// Keys and values of prompt and answer.
    pub cache: u64,
    /// Activations of the text model while it reads the prompt.
    pub prefill: u64,
}

impl MemoryEstimate {
    /// Most bytes at any one time: weights, pixels and cache stay, the stages come one after the other.
    pub fn peak(&self) -> u64 {
        let stage = self.vision.max(self.cache.saturating_add(self.prefill));
        self.weights.saturating_add(self.pixels).saturating_add(stage)
    }

    /// The memory of a request with this prompt and at most `new_tokens` tokens of answer.
    fn new(config: &ModelConfig, float: FloatType, prompt: &Estimate, vision_batch: usize, new_tokens: usize) -> Self {
        let bytes = float.bytes() as u64;
        let product = |sizes: &[usize]| sizes.iter().fold(bytes, |product, &size| product.saturating_mul(size as u64));
        let sum = |parts: &[u64]| parts.iter().fold(0, |sum: u64, &part| sum.saturating_add(part));
        let (vision, text) = (&config.vision, &config.text);
        let tokens = prompt.prompt_tokens;
        let tiles = vision_batch.max(1).min(prompt.tiles);
        let patches = tiles * vision.grid().pow(2);
        // Normed input, queries, keys, values and output beside the residual stream; then both sides of the MLP.
        let tower = sum(&[
            product(&[8, patches, vision.hidden_size]),
            product(&[2, patches, vision.intermediate_size]),
            product(&[vision.num_attention_heads, patches, vision.grid().pow(2)]),
        ]);
        let keys = text.num_key_value_heads * text.head_dim;
        let prefill = sum(&[
            product(&[8, tokens, text.hidden_size]),
            product(&[3, tokens, text.intermediate_size]),
            product(&[text.num_attention_heads, tokens, tokens]),
            product(&[2, text.vocab_size]),
        ]);
        Self {
            weights: (config.parameter_count() as u64).saturating_mul(bytes),
            pixels: (prompt.tiles * vision.num_channels * 4) as u64 * (prompt.edge as u64).pow(2),
            vision: tower,
            cache: product(&[2, text.num_hidden_layers, keys, tokens + new_tokens]),
            prefill,
        }
    }
}

/// What conversations cost, each by itself: from the checkpoint's configuration and the headers of the media.
///
/// # Errors
///
/// A checkpoint without its small files, a conversation that cannot be rendered, media without a header.
pub fn estimate(
    source: Source,
    options: &Options,
    conversations: &[Conversation],
    new_tokens: usize,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<RequestEstimate>, Error> {
    let checkpoint = source.open(progress)?;
    let (processor, config) = (checkpoint.processor(options)?, checkpoint.config()?);
    let float = options.dtype.on_device();
    let one = |conversation| {
        let prompt = processor.estimate(conversation, &RenderOptions::answer())?;
        let memory = MemoryEstimate::new(&config, float, &prompt, options.vision_batch, new_tokens);
        Ok(RequestEstimate { prompt, memory })
    };
    conversations.iter().map(one).collect()
}
