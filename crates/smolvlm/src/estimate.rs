//! What a request costs, before any weight is loaded and any pixel decoded.

use crate::device::Choice;
use crate::{Error, Options, Progress, Source};
use smolvlm_config::ModelConfig;
use smolvlm_kernels::Format;
use smolvlm_model::{WeightFormat, vision_format};
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
    fn new(
        config: &ModelConfig,
        format: WeightFormat,
        prompt: &Estimate,
        vision_batch: usize,
        new_tokens: usize,
    ) -> Self {
        // Packed layers keep the residual stream in f32, no matrix of scores, and the rest in half precision at least.
        let (bytes, packed) = match format {
            WeightFormat::Tensors(float) => (float.bytes() as u64, false),
            WeightFormat::Packed(Format::F32) => (4, true),
            WeightFormat::Packed(_) => (2, true),
        };
        let product = |sizes: &[usize]| sizes.iter().fold(bytes, |product, &size| product.saturating_mul(size as u64));
        let sum = |parts: &[u64]| parts.iter().fold(0, |sum: u64, &part| sum.saturating_add(part));
        let scores = |sizes: &[usize]| if packed { 0 } else { product(sizes) };
        let (vision, text) = (&config.vision, &config.text);
        let tokens = prompt.prompt_tokens;
        let tiles = vision_batch.max(1).min(prompt.tiles);
        let patches = tiles * vision.grid().pow(2);
        // Normed input, queries, keys, values and output beside the residual stream; then both sides of the MLP.
        let tower = sum(&[
            product(&[8, patches, vision.hidden_size]),
            product(&[2, patches, vision.intermediate_size]),
            scores(&[vision.num_attention_heads, patches, vision.grid().pow(2)]),
        ]);
        let keys = text.num_key_value_heads * text.head_dim;
        let prefill = sum(&[
            product(&[8, tokens, text.hidden_size]),
            product(&[3, tokens, text.intermediate_size]),
            scores(&[text.num_attention_heads, tokens, tokens]),
            product(&[2, text.vocab_size]),
        ]);
        Self {
            weights: weights(config, format),
            pixels: (prompt.tiles * vision.num_channels * 4) as u64 * (prompt.edge as u64).pow(2),
            vision: tower,
            cache: product(&[2, text.num_hidden_layers, keys, tokens + new_tokens]),
            prefill,
        }
    }
}

/// Memory of all weights, in bytes.
pub(crate) fn weights(config: &ModelConfig, format: WeightFormat) -> u64 {
    let all = config.parameter_count() as u64;
    let packed = match format {
        WeightFormat::Tensors(float) => return all.saturating_mul(float.bytes() as u64),
        WeightFormat::Packed(packed) => packed,
    };
    let text = &config.text;
    let table = (text.vocab_size as u64).saturating_mul(text.hidden_size as u64);
    let keys = text.num_key_value_heads * text.head_dim;
    let queries = text.num_attention_heads * text.head_dim;
    let layer = text.hidden_size * (2 * queries + 2 * keys + 3 * text.intermediate_size);
    // Text layers and output projection; the rest but for the table of embeddings is vision.
    let decoder = (layer as u64).saturating_mul(text.num_hidden_layers as u64).saturating_add(table);
    let vision = all.saturating_sub(decoder).saturating_sub(if config.tie_word_embeddings { 0 } else { table });
    let table_bytes = if packed == Format::F32 { 4 } else { 2 };
    let bytes = |values: u64, format: Format| (values as f64 * format.bits() / 8.0) as u64;
    bytes(vision, vision_format(packed)) + bytes(decoder, packed) + table.saturating_mul(table_bytes)
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
    let checkpoint = source.open(progress)?.with_adapters(&options.adapters)?;
    let (processor, config) = (checkpoint.processor(options)?, checkpoint.config()?);
    let format = Choice::new(options.device, options.dtype)?.format;
    let one = |conversation| {
        let prompt = processor.estimate(conversation, &RenderOptions::answer())?;
        let memory = MemoryEstimate::new(&config, format, &prompt, options.vision_batch, new_tokens);
        Ok(RequestEstimate { prompt, memory })
    };
    conversations.iter().map(one).collect()
}
