//! The vocabulary of a GGUF file.

use super::file::GgufFile;
use super::generation::{generation_config, token_id};
use crate::error::Error;
use crate::header::readable;

/// The role of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufTokenKind {
    /// Part of a text.
    Normal,
    /// Structure of a prompt, such as `<image>`; not part of an answer's text.
    Control,
    /// Found in a text before it is split, and part of an answer's text.
    UserDefined,
}

/// Maximum number of tokens.
const MAX_TOKENS: usize = 1 << 19;

/// The tokens by id; at most as many as there are embeddings.
pub(super) fn tokens(file: &GgufFile) -> Result<Vec<&str>, Error> {
    const KEY: &str = "tokenizer.ggml.tokens";
    let count = file.list_len(KEY)?.ok_or_else(|| file.missing(KEY))?;
    let rows = file.size("token_embd.weight", 0)?;
    if count > rows {
        return Err(file.error(format!("the key {KEY} has {count} tokens for {rows} embeddings")));
    }
    if count > MAX_TOKENS {
        return Err(file.error(format!("the key {KEY} has {count} tokens; the limit is {MAX_TOKENS}")));
    }
    file.texts(KEY)?.ok_or_else(|| file.missing(KEY))
}

/// Number of a token that is not used.
pub(super) const UNUSED: i32 = 5;

impl GgufTokenKind {
    /// The number in llama.cpp: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Normal => 1,
            Self::Control => 3,
            Self::UserDefined => 4,
        }
    }

    /// The kind of a number; unused tokens and bytes are normal here.
    fn from_number(number: i64) -> Self {
        match number {
            2 | 3 => Self::Control,
            4 => Self::UserDefined,
            _ => Self::Normal,
        }
    }
}

/// The vocabulary of a byte-level BPE tokenizer whose pre-tokenizer is `smollm`: digits one by one, then GPT-2's
/// pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufVocabulary {
    /// Tokens by id. Bytes are spelled as in GPT-2.
    pub tokens: Vec<(String, GgufTokenKind)>,
    /// Pairs of tokens to merge, first ones first.
    pub merges: Vec<(String, String)>,
    /// Token that starts a text.
    pub bos_token_id: Option<u32>,
    /// Token that ends an answer.
    pub eos_token_id: Option<u32>,
    /// Second token that ends an answer.
    pub eot_token_id: Option<u32>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
    /// Token of unknown text.
    pub unk_token_id: Option<u32>,
}

impl GgufVocabulary {
    pub(super) fn read(file: &GgufFile) -> Result<Self, Error> {
        file.expect("tokenizer.ggml.model", "gpt2", " (byte-level BPE)")?;
        file.expect("tokenizer.ggml.pre", "smollm", ", the pre-tokenizer of SmolLM")?;
        let tokens = tokens(file)?;
        let generation = generation_config(file, &tokens)?;
        let fits = |key: &str, fits: fn(usize, usize) -> bool| match file.list_len(key)? {
            Some(count) if !fits(count, tokens.len()) => {
                Err(file.error(format!("the key {key} has {count} values for {} tokens", tokens.len())))
            }
            _ => Ok(()),
        };
        fits("tokenizer.ggml.token_type", |count, tokens| count == tokens || count == 0)?;
        // Every merge makes a token.
        fits("tokenizer.ggml.merges", |count, tokens| count <= tokens)?;
        let kinds = file.numbers("tokenizer.ggml.token_type")?.unwrap_or_default();
        let kind = |index: usize| {
            kinds.get(index).map_or(GgufTokenKind::Normal, |kind| GgufTokenKind::from_number(*kind as i64))
        };
        let merges = file.texts("tokenizer.ggml.merges")?.ok_or_else(|| file.missing("tokenizer.ggml.merges"))?;
        let pair = |merge: &&str| {
            let pair = merge.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()));
            pair.ok_or_else(|| {
                file.error(format!("the key tokenizer.ggml.merges has {:?}, which is not a pair", readable(merge)))
            })
        };
        let vocabulary = Self {
            merges: merges.iter().map(pair).collect::<Result<_, _>>()?,
            tokens: tokens.iter().enumerate().map(|(index, token)| ((*token).to_owned(), kind(index))).collect(),
            bos_token_id: generation.bos_token_id,
            eos_token_id: generation.eos_token_ids.first().copied(),
            eot_token_id: token_id(file, "tokenizer.ggml.eot_token_id", &tokens)?,
            pad_token_id: generation.pad_token_id,
            unk_token_id: token_id(file, "tokenizer.ggml.unknown_token_id", &tokens)?,
        };
        Ok(vocabulary)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use smolvlm_config::Preset;

    use super::*;
    use crate::gguf::ggml_type::GgmlType;
    use crate::gguf::metadata::Metadata;
    use crate::gguf::names::RowOrder;
    use crate::gguf::writer::{Entry, write};
    use crate::random::RandomTensors;
    use crate::tensor_specs::{TOKEN_EMBEDDINGS, tensor_specs};

    /// A file of 10 embeddings with lists of these lengths.
    fn file(tokens: usize, types: usize, merges: usize) -> GgufFile {
        let mut metadata = Metadata::default();
        metadata.text("tokenizer.ggml.model", "gpt2");
        metadata.text("tokenizer.ggml.pre", "smollm");
        metadata.texts("tokenizer.ggml.tokens", &vec!["t"; tokens]);
        metadata.i32_list("tokenizer.ggml.token_type", &vec![1; types]);
        metadata.texts("tokenizer.ggml.merges", &vec!["t t"; merges]);
        let mut config = Preset::Tiny.model();
        config.text.vocab_size = 10;
        let spec = tensor_specs(&config).into_iter().find(|spec| spec.name == TOKEN_EMBEDDINGS).unwrap();
        let name = "token_embd.weight".to_owned();
        let entry = Entry { name, spec, ggml_type: GgmlType::F32, order: RowOrder::Checkpoint };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.gguf");
        write(&path, &metadata, &[entry], &RandomTensors::new(&config, 1)).unwrap();
        GgufFile::from_bytes(std::fs::read(&path).unwrap(), Path::new("text.gguf")).unwrap()
    }

    #[test]
    fn lengths_of_lists_must_match() {
        assert_eq!(GgufVocabulary::read(&file(10, 10, 10)).unwrap().merges.len(), 10);
        for (tokens, types, merges, says) in [
            (11, 11, 0, "tokenizer.ggml.tokens has 11 tokens for 10 embeddings"),
            (10, 9, 0, "tokenizer.ggml.token_type has 9 values for 10 tokens"),
            (10, 0, 11, "tokenizer.ggml.merges has 11 values for 10 tokens"),
        ] {
            let message = GgufVocabulary::read(&file(tokens, types, merges)).unwrap_err().to_string();
            assert_eq!(message, format!("text.gguf: the key {says}"));
        }
    }
}
