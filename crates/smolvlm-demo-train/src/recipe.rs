//! Architecture of the demo model, sized for a few hours of training on two CPU cores.

use smolvlm_config::{DefaultPrompts, GenerationConfig, ModelConfig, Preset, ProcessorConfig, Size};
use smolvlm_processor::{Processor, RELEASED_CHAT_TEMPLATE};
use std::error::Error;
use tokenizers::Tokenizer;

/// Edge length of a tile, in pixels.
const TILE: u32 = 64;

/// The model's configuration: 64-pixel tiles of 8-pixel patches, 16 tokens per tile, twelve layers in total, 2.6
/// million parameters.
pub fn model(tokenizer: &Tokenizer) -> Result<ModelConfig, Box<dyn Error>> {
    let id = |token: &str| tokenizer.token_to_id(token).ok_or_else(|| format!("the tokenizer lacks {token}"));
    let mut config = Preset::Tiny.model();
    let vision = &mut config.vision;
    (vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers) = (128, 512, 6);
    (vision.num_attention_heads, vision.image_size, vision.patch_size) = (4, TILE as usize, 8);
    let text = &mut config.text;
    (text.hidden_size, text.intermediate_size, text.num_hidden_layers) = (128, 384, 6);
    (text.num_attention_heads, text.num_key_value_heads, text.head_dim) = (4, 2, 32);
    (text.vocab_size, text.max_position_embeddings) = (tokenizer.get_vocab_size(true), 2048);
    text.bos_token_id = Some(id("<|im_start|>")?);
    text.eos_token_ids = vec![id("<end_of_utterance>")?];
    text.pad_token_id = Some(id("<|im_end|>")?);
    // Text: 1/sqrt(width), as the usual 0.02 suits wide models only. Vision: small, so that the encoder initially
    // passes little more than its patch embedding, see `Stage::Words`.
    (vision.initializer_range, text.initializer_range) = (0.02, 0.088);
    (config.scale_factor, config.tie_word_embeddings) = (2, true);
    (config.image_token_id, config.pad_token_id) = (id("<image>")?, text.pad_token_id);
    config.generation = generation(&config);
    config.validate()?;
    Ok(config)
}

/// The processor. With `split`, images become four tiles and a global view, otherwise the global view only; each frame
/// of a clip is one tile.
pub fn processor(tokenizer: Tokenizer, split: bool) -> Result<Processor, Box<dyn Error>> {
    let mut config: ProcessorConfig = Preset::Tiny.processor();
    let edge = if split { 2 * TILE } else { TILE };
    (config.image.pixels.size, config.image.pixels.max_image_size) = (Size::LongestEdge(edge), TILE);
    config.image.do_image_splitting = split;
    (config.video.pixels.size, config.video.pixels.max_image_size) = (Size::LongestEdge(TILE), TILE);
    config.image_seq_len = 16;
    config.chat_template = None;
    // Questions from the training data, which does not contain the default question of `smolvlm describe`.
    config.default_prompts = DefaultPrompts {
        image: Some("Describe the picture.".to_owned()),
        images: Some("What is different in the second picture?".to_owned()),
        video: Some("What do you see?".to_owned()),
    };
    Ok(Processor::new(config, tokenizer, Some(RELEASED_CHAT_TEMPLATE.to_owned()))?)
}

/// The generation parameters: short answers that end with `<end_of_utterance>`.
fn generation(config: &ModelConfig) -> GenerationConfig {
    GenerationConfig {
        bos_token_id: config.text.bos_token_id,
        eos_token_ids: config.text.eos_token_ids.clone(),
        pad_token_id: config.text.pad_token_id,
        max_new_tokens: Some(96),
        ..Preset::Tiny.generation()
    }
}
