//! The generation parameters of a GGUF file: its special tokens.

use smolvlm_config::GenerationConfig;

use super::file::GgufFile;
use crate::error::Error;

/// Keys of the tokens that end an answer.
const END_TOKENS: [&str; 3] =
    ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

/// Texts of tokens of SmolLM that end an answer in llama.cpp whether or not a key names them.
const END_TEXTS: [&str; 3] = ["<end_of_utterance>", "<|im_end|>", "<|endoftext|>"];

/// The generation parameters; `tokens` is the vocabulary.
pub(super) fn generation_config(file: &GgufFile, tokens: &[&str]) -> Result<GenerationConfig, Error> {
    let mut eos_token_ids = Vec::new();
    for key in END_TOKENS {
        eos_token_ids.extend(token_id(file, key, tokens)?.filter(|id| !eos_token_ids.contains(id)));
    }
    for text in END_TEXTS {
        eos_token_ids.extend(id_of(text, tokens).filter(|id| !eos_token_ids.contains(id)));
    }
    Ok(GenerationConfig {
        eos_token_ids,
        pad_token_id: token_id(file, "tokenizer.ggml.padding_token_id", tokens)?,
        bos_token_id: token_id(file, "tokenizer.ggml.bos_token_id", tokens)?,
        ..GenerationConfig::default()
    })
}

/// The token id of a key, an index of `tokens`.
pub(super) fn token_id(file: &GgufFile, key: &str, tokens: &[&str]) -> Result<Option<u32>, Error> {
    let id = file.token(key)?;
    match id.filter(|id| *id as usize >= tokens.len()) {
        Some(id) => Err(file.error(format!("the key {key} is {id}, but there are {} tokens", tokens.len()))),
        None => Ok(id),
    }
}

/// The id of the token with this text.
pub(super) fn id_of(text: &str, tokens: &[&str]) -> Option<u32> {
    tokens.iter().position(|token| *token == text).and_then(|id| u32::try_from(id).ok())
}
