//! Cost estimates of requests, without loading weights or decoding pixels.

use crate::admission::{refused, sequence_bytes};
use crate::device::DeviceChoice;
use crate::options::resolve_format;
use crate::process::prompt_limit;
use crate::{DeviceInfo, Error, Options, Progress, Source, Truncation};
use smolvlm_checkpoint::{head_format, vision_format};
use smolvlm_config::ModelConfig;
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::Isa;
use smolvlm_model::WeightFormat;
use smolvlm_processor::{Conversation, Estimate, Processor, RenderOptions};

/// The cost of one conversation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RequestEstimate {
    /// Number of tiles and tokens, exact.
    pub prompt: Estimate,
    /// Memory, approximate.
    pub memory: MemoryEstimate,
    /// Why the request would be rejected: a prompt too long for the model's context, or too little device memory.
    pub refused: Option<String>,
}

/// Memory of a request in bytes, per stage. Computed from the shapes of the largest tensors that are alive at the same
/// time; excludes the overhead of the program and its allocator, measured as 100 to 150 MB with the 256M model in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// The model's parameters.
    pub weights: u64,
    /// The tiles' pixels.
    pub pixels: u64,
    /// Activations of the vision encoder for one batch of tiles.
    pub vision: u64,
    /// Keys and values of prompt and answer.
    pub cache: u64,
    /// Activations of the text model during prefill.
    pub prefill: u64,
}

impl MemoryEstimate {
    /// Peak memory in bytes: weights and pixels stay allocated, the stages run one after the other.
    pub fn peak(&self) -> u64 {
        let stage = self.vision.max(self.cache.saturating_add(self.prefill));
        self.weights.saturating_add(self.pixels).saturating_add(stage)
    }

    /// The memory of a request with this prompt and an answer of at most `new_tokens` tokens.
    fn new(
        config: &ModelConfig,
        format: WeightFormat,
        prompt: &Estimate,
        vision_batch: usize,
        new_tokens: usize,
    ) -> Self {
        // Packed layers do not materialize the attention scores.
        let (bytes, packed) = (value_bytes(format), matches!(format, WeightFormat::Packed(_)));
        let product = |sizes: &[usize]| product(bytes, sizes);
        let sum = |parts: &[u64]| parts.iter().fold(0, |sum: u64, &part| sum.saturating_add(part));
        let scores = |sizes: &[usize]| if packed { 0 } else { product(sizes) };
        let (vision, text) = (&config.vision, &config.text);
        let tokens = prompt.prompt_tokens;
        let tiles = vision_batch.max(1).min(prompt.tiles);
        let grid = vision.grid().saturating_mul(vision.grid());
        let patches = tiles.saturating_mul(grid);
        // Normalized input and output besides the residual stream; queries, keys, values and packed copies of the last
        // two, which are f32 without instructions for bf16; then both layers of the MLP.
        let heads = if packed && !Isa::current().bf16 { 4 } else { bytes };
        let tower = sum(&[
            product(&[3, patches, vision.hidden_size]),
            self::product(heads, &[5, patches, vision.hidden_size]),
            product(&[2, patches, vision.intermediate_size]),
            scores(&[vision.num_attention_heads, patches, grid]),
        ]);
        let prefill = sum(&[
            product(&[8, tokens, text.hidden_size]),
            product(&[3, tokens, text.intermediate_size]),
            scores(&[text.num_attention_heads, tokens, tokens]),
            product(&[2, text.vocab_size]),
        ]);
        Self {
            weights: weights(config, format),
            pixels: self::product(4, &[prompt.tiles, vision.num_channels, prompt.edge, prompt.edge]),
            vision: tower,
            cache: cache_bytes(config, format, tokens.saturating_add(new_tokens)),
            prefill,
        }
    }
}

/// Bytes per element of activations, keys and values; packed layers keep the residual stream in f32 and the rest in at
/// least half precision.
fn value_bytes(format: WeightFormat) -> u64 {
    match format {
        WeightFormat::Tensors(float) => float.bytes() as u64,
        WeightFormat::Packed(packed) if packed.has_f32_activations() => 4,
        WeightFormat::Packed(_) => 2,
    }
}

/// The saturating product of sizes and the bytes per element.
fn product(bytes: u64, sizes: &[usize]) -> u64 {
    sizes.iter().fold(bytes, |product, &size| product.saturating_mul(size as u64))
}

/// Size of the KV cache of one sequence of `tokens` tokens, in bytes.
pub(crate) fn cache_bytes(config: &ModelConfig, format: WeightFormat, tokens: usize) -> u64 {
    let text = &config.text;
    product(value_bytes(format), &[2, text.num_hidden_layers, text.num_key_value_heads, text.head_dim, tokens])
}

/// Size of all weights, in bytes.
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
    let decoder = (layer as u64).saturating_mul(text.num_hidden_layers as u64);
    // The rest is vision, except for the output projection and an embedding table of its own.
    let tables = table.saturating_mul(if config.tie_word_embeddings { 1 } else { 2 });
    let vision = all.saturating_sub(decoder).saturating_sub(tables);
    let table_bytes = if packed == PackedFormat::F32 { 4 } else { 2 };
    let bytes = |values: u64, format: PackedFormat| (values as f64 * format.bits() / 8.0) as u64;
    bytes(vision, vision_format(packed))
        + bytes(decoder, packed)
        + bytes(table, head_format(packed))
        + table.saturating_mul(table_bytes)
}

/// Estimates the cost of single conversations from the checkpoint's configuration, the format of its weights and the
/// headers of images and videos.
pub struct Estimator {
    processor: Processor,
    config: ModelConfig,
    device: DeviceInfo,
    format: WeightFormat,
    vision_batch: usize,
    truncation: Truncation,
    /// The error if the weights do not fit into the memory of any candidate device.
    too_large: Option<Error>,
}

impl Estimator {
    /// Opens a checkpoint, which needs no weights.
    ///
    /// # Errors
    ///
    /// Missing configuration or tokenizer files, an unavailable device.
    pub fn open(source: Source, options: &Options, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Self, Error> {
        let checkpoint = source.open(&options.cancel, progress)?.with_adapters(&options.adapters)?;
        let (processor, config) = (checkpoint.processor(options)?, checkpoint.config()?);
        let stored = checkpoint.weights().ok().flatten();
        let resolved = |format| resolve_format(options.dtype, format, stored.as_ref());
        let size = |format| weights(&config, resolved(format));
        let (choice, too_large) = match DeviceChoice::new(options.device, options.dtype)?.with_room_for(size) {
            Ok(choice) => (choice, None),
            Err(error) => (DeviceChoice::new(options.device, options.dtype)?, Some(error)),
        };
        let device = choice.found.info;
        Ok(Self {
            processor,
            config,
            format: resolved(choice.format),
            vision_batch: options.vision_batch_on(device.device),
            device,
            truncation: options.truncation,
            too_large,
        })
    }

    /// Estimates the cost of a conversation with an answer of at most `new_tokens` tokens, limited by the model's
    /// context. A request that would be rejected is counted in full, with the reason in [`RequestEstimate::refused`].
    ///
    /// # Errors
    ///
    /// A conversation that cannot be rendered, images or videos with an unreadable header.
    pub fn estimate(&self, conversation: &Conversation, new_tokens: usize) -> Result<RequestEstimate, Error> {
        let render = RenderOptions::answer();
        let context = self.config.text.max_position_embeddings;
        let prompt = self.processor.estimate(conversation, &render)?;
        let room = new_tokens.min(context.saturating_sub(prompt.prompt_tokens));
        let memory = MemoryEstimate::new(&self.config, self.format, &prompt, self.vision_batch, room);
        let mut tokens = prompt.prompt_tokens;
        let mut too_long = None;
        if tokens >= context {
            too_long = match self.truncation {
                Truncation::Refuse => Some(Error::PromptTooLong { row: 0, prompt: tokens, context }),
                Truncation::DropOldest => {
                    tokens = prompt_limit(context, new_tokens);
                    self.processor.fit(conversation, &render, tokens).err().map(Error::from)
                }
            };
        }
        let tokens = tokens.saturating_add(new_tokens).min(context);
        let needs = [memory.weights, sequence_bytes(&self.config, self.format, 1, tokens)];
        let too_much = || refused(self.device.device, self.device.memory, needs, tokens);
        let refused = too_long.map(|error| error.to_string());
        let refused = refused.or_else(|| self.too_large.as_ref().map(Error::to_string));
        Ok(RequestEstimate { prompt, memory, refused: refused.or_else(|| Some(too_much()?.to_string())) })
    }
}
