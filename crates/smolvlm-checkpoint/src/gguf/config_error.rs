//! Errors of configurations that come from GGUF files.

use smolvlm_config::Error as ConfigError;

use super::file::GgufFile;
use crate::error::Error;

/// Names in the configuration, and the keys that give their values.
const KEYS: [(&str, &str); 17] = [
    ("text_config.hidden_size", "llama.embedding_length"),
    ("text_config.intermediate_size", "llama.feed_forward_length"),
    ("text_config.num_hidden_layers", "llama.block_count"),
    ("text_config.num_attention_heads", "llama.attention.head_count"),
    ("text_config.num_key_value_heads", "llama.attention.head_count_kv"),
    ("text_config.head_dim", "llama.attention.key_length"),
    ("text_config.max_position_embeddings", "llama.context_length"),
    ("text_config.rms_norm_eps", "llama.attention.layer_norm_rms_epsilon"),
    ("text_config.rope_parameters.rope_theta", "llama.rope.freq_base"),
    ("text_config.rope_parameters.factor", "llama.rope.scaling.factor"),
    ("vision_config.hidden_size", "clip.vision.embedding_length"),
    ("vision_config.num_hidden_layers", "clip.vision.block_count"),
    ("vision_config.num_attention_heads", "clip.vision.attention.head_count"),
    ("vision_config.image_size", "clip.vision.image_size"),
    ("vision_config.patch_size", "clip.vision.patch_size"),
    ("vision_config.layer_norm_eps", "clip.vision.attention.layer_norm_epsilon"),
    ("scale_factor", "clip.vision.projector.scale_factor"),
];

/// Adds the file to an error of validation, and names its key in place of that of `config.json`.
pub(super) fn in_file(error: ConfigError, text: &GgufFile, vision: Option<&GgufFile>) -> Error {
    let ConfigError::Invalid { what, message } = error else { return error.into() };
    let key = KEYS.iter().find(|(name, _)| *name == what).map(|(_, key)| *key);
    // Of the processor, all sizes are those of the vision file.
    let is_text = what.starts_with("text_config.") || what == "image_token_id";
    let path = vision.filter(|_| !is_text).unwrap_or(text).path.clone();
    let source = ConfigError::Invalid { what: key.map_or(what, str::to_owned), message };
    Error::Config(ConfigError::InFile { path, source: Box::new(source) })
}
