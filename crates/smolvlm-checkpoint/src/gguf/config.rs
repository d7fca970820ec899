//! The configuration of a model, from the metadata and the shapes of GGUF files.

use smolvlm_config::{
    FloatType, GenerationConfig, ImageProcessorConfig, ModelConfig, PixelConfig, Preset, ProcessorConfig,
    RopeParameters, Size, TextConfig, VisionConfig,
};

use super::config_error::in_file;
use super::file::GgufFile;
use super::generation::{generation_config, id_of};
use super::names::has_swapped_names;
use super::vocabulary::tokens;
use crate::error::Error;
use crate::header::readable;

/// The token whose embedding is replaced by image features.
const IMAGE_TOKEN: &str = "<image>";

/// Size of the resized image relative to a tile, if a file does not specify it: that of all released models.
const TILES_PER_EDGE: usize = 4;

/// The model's configuration; without a vision file, vision encoder and connector are those of [`without_vision`].
pub(super) fn model_config(text: &GgufFile, vision: Option<&GgufFile>) -> Result<ModelConfig, Error> {
    let tokens = tokens(text)?;
    let generation = generation_config(text, &tokens)?;
    let mut config = ModelConfig {
        tie_word_embeddings: text.shape("output.weight").is_none(),
        text: text_config(text, &generation)?,
        generation,
        image_token_id: id_of(IMAGE_TOKEN, &tokens).unwrap_or(ModelConfig::NO_IMAGE_TOKEN),
        pad_token_id: None,
        dtype: Some(FloatType::Bf16),
        ..ModelConfig::default()
    };
    match vision {
        Some(file) => {
            if config.image_token_id == ModelConfig::NO_IMAGE_TOKEN {
                let message =
                    format!("the key tokenizer.ggml.tokens has no {IMAGE_TOKEN}: it is not a vision-language model");
                return Err(text.error(message));
            }
            config.vision = vision_config(file)?;
            config.scale_factor = scale_factor(file, config.vision.hidden_size)?;
            let width = file.size("mm.model.fc.weight", 0)?;
            if width != config.text.hidden_size {
                return Err(file.error(format!(
                    "mm.model.fc.weight has {width} outputs, but the text model has a hidden size of {}; the two files \
                     belong to different models",
                    config.text.hidden_size
                )));
            }
        }
        None => without_vision(&mut config),
    }
    config.validate().map_err(|error| in_file(error, text, vision))?;
    Ok(config)
}

/// Sets the smallest vision encoder and connector, for a text model alone. Their weights are zeros and never used.
fn without_vision(config: &mut ModelConfig) {
    config.vision = VisionConfig {
        hidden_size: 8,
        intermediate_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        image_size: 16,
        patch_size: 16,
        ..VisionConfig::default()
    };
    config.scale_factor = 1;
}

fn text_config(file: &GgufFile, generation: &GenerationConfig) -> Result<TextConfig, Error> {
    let vocab_size = file.size("token_embd.weight", 0)?;
    let hidden_size = file.size("token_embd.weight", 1)?;
    // The size of tensors that the files do not have depends on it.
    if let Some(length) = file.count("llama.embedding_length")?.filter(|length| *length != hidden_size) {
        return Err(file.error(format!(
            "the key llama.embedding_length is {length}, but the embeddings have {hidden_size} values"
        )));
    }
    let num_attention_heads = required(file, "llama.attention.head_count", None)?;
    let per_head = hidden_size.checked_div(num_attention_heads).unwrap_or(0);
    let rotated = file.count("llama.rope.dimension_count")?;
    let head_dim = file.count("llama.attention.key_length")?.or(rotated).unwrap_or(per_head);
    if rotated.is_some_and(|rotated| rotated != head_dim) {
        let message = "the key llama.rope.dimension_count is not the head dimension: partial rotation is not supported";
        return Err(file.error(message));
    }
    Ok(TextConfig {
        vocab_size,
        hidden_size,
        intermediate_size: required(file, "llama.feed_forward_length", file.size("blk.0.ffn_gate.weight", 0).ok())?,
        num_hidden_layers: required(file, "llama.block_count", None)?,
        num_attention_heads,
        num_key_value_heads: file.count("llama.attention.head_count_kv")?.unwrap_or(num_attention_heads),
        head_dim,
        max_position_embeddings: required(file, "llama.context_length", Some(2048))?,
        rms_norm_eps: file.number("llama.attention.layer_norm_rms_epsilon")?.map_or(1e-5, shortest),
        pad_token_id: generation.pad_token_id,
        bos_token_id: generation.bos_token_id,
        eos_token_ids: generation.eos_token_ids.clone(),
        attention_bias: file.shape("blk.0.attn_q.bias").is_some(),
        mlp_bias: file.shape("blk.0.ffn_down.bias").is_some(),
        rope: rope(file)?,
        ..TextConfig::default()
    })
}

fn rope(file: &GgufFile) -> Result<RopeParameters, Error> {
    if file.shape("rope_freqs.weight").is_some() {
        return Err(file.error("tensor rope_freqs.weight scales the rotation, which is not supported"));
    }
    let theta = file.number("llama.rope.freq_base")?.map_or(10_000.0, shortest);
    match file.text("llama.rope.scaling.type")? {
        None | Some("none") => Ok(RopeParameters::Default { theta }),
        Some("linear") => {
            let factor = file.number("llama.rope.scaling.factor")?.map_or(1.0, shortest);
            Ok(RopeParameters::Linear { theta, factor })
        }
        Some(other) => {
            let other = readable(other);
            Err(file.error(format!("the key llama.rope.scaling.type is {other}; supported are none and linear")))
        }
    }
}

fn vision_config(file: &GgufFile) -> Result<VisionConfig, Error> {
    file.expect("clip.projector_type", "idefics3", ": this is not SmolVLM's vision encoder")?;
    let hidden_size = required(file, "clip.vision.embedding_length", file.size("v.patch_embd.weight", 0).ok())?;
    let patch_size = required(file, "clip.vision.patch_size", file.size("v.patch_embd.weight", 3).ok())?;
    let first = if has_swapped_names(file, hidden_size) { "v.blk.0.ffn_down.weight" } else { "v.blk.0.ffn_up.weight" };
    let default = VisionConfig::default();
    Ok(VisionConfig {
        hidden_size,
        // The matrix decides: some converters wrote 0 for the key.
        intermediate_size: file.size(first, 0)?,
        num_hidden_layers: required(file, "clip.vision.block_count", None)?,
        num_attention_heads: required(file, "clip.vision.attention.head_count", None)?,
        num_channels: file.size("v.patch_embd.weight", 1)?,
        image_size: required(file, "clip.vision.image_size", None)?,
        patch_size,
        layer_norm_eps: file
            .number("clip.vision.attention.layer_norm_epsilon")?
            .map_or(default.layer_norm_eps, shortest),
        ..default
    })
}

/// The factor of the pixel shuffle; without the key, from the inputs of the connector, of which each token has
/// `factor^2` times the hidden size.
fn scale_factor(file: &GgufFile, hidden_size: usize) -> Result<usize, Error> {
    let inputs = file.size("mm.model.fc.weight", 1)?;
    let patches = inputs.checked_div(hidden_size).unwrap_or(0);
    required(file, "clip.vision.projector.scale_factor", Some(patches.isqrt()))
}

/// The configuration of the processor: that of the released models, with the sizes of `config` and the values of the
/// vision file.
pub(super) fn processor_config(
    text: &GgufFile,
    vision: Option<&GgufFile>,
    config: &ModelConfig,
) -> Result<ProcessorConfig, Error> {
    let mut processor = Preset::Smol256M.processor();
    processor.image_seq_len = config.image_seq_len();
    if let Some(template) = text.text("tokenizer.chat_template")? {
        processor.chat_template = Some(template.to_owned());
    }
    let tile = u32::try_from(config.vision.image_size).unwrap_or(u32::MAX);
    let default_edge = config.vision.image_size.saturating_mul(TILES_PER_EDGE);
    let (mut edge, mut mean, mut std) = (default_edge, None, None);
    if let Some(file) = vision {
        edge = required(file, "clip.vision.preproc_image_size", Some(default_edge))?;
        mean = channels(file, "clip.vision.image_mean")?;
        std = channels(file, "clip.vision.image_std")?;
    }
    let edge = u32::try_from(edge).unwrap_or(u32::MAX);
    let set = |pixels: &mut PixelConfig| {
        pixels.size = Size::LongestEdge(edge);
        pixels.max_image_size = tile;
        pixels.image_mean = mean.unwrap_or(pixels.image_mean);
        pixels.image_std = std.unwrap_or(pixels.image_std);
    };
    let ImageProcessorConfig { pixels, .. } = &mut processor.image;
    set(pixels);
    set(&mut processor.video.pixels);
    processor.validate().map_err(|error| in_file(error, text, vision))?;
    Ok(processor)
}

/// A value per color channel.
fn channels(file: &GgufFile, key: &str) -> Result<Option<[f64; 3]>, Error> {
    let wrong = || file.error(format!("the key {key} must have 3 values"));
    if file.list_len(key)?.is_some_and(|count| count != 3) {
        return Err(wrong());
    }
    let Some(values) = file.numbers(key)? else { return Ok(None) };
    Ok(Some(<[f64; 3]>::try_from(values).map_err(|_| wrong())?.map(shortest)))
}

/// A size: that of the key, else the default, else an error.
fn required(file: &GgufFile, key: &str, default: Option<usize>) -> Result<usize, Error> {
    file.count(key)?.or(default).ok_or_else(|| file.missing(key))
}

/// The shortest decimal number that rounds to the same f32: 1e-5 instead of 9.999999747378752e-6.
fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}
