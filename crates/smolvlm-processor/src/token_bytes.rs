//! The bytes that single tokens contribute to a text.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use tokenizers::{Decoder, Tokenizer};

use crate::encode::encode_continuation;
use crate::error::Error;

/// Text before the decoded token, which keeps decoders from trimming the token's leading space.
const PREFIX: &str = "abcdef";

/// The bytes represented by the characters of byte-level vocabularies.
static BYTES: LazyLock<BTreeMap<char, u8>> =
    LazyLock::new(|| (0..=u8::MAX).map(|byte| (byte_char(byte), byte)).collect());

/// Representation of bytes in a vocabulary.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    /// One character per byte.
    ByteLevel,
    /// `<0xNN>` for bytes that are part of a character; text for all others.
    ByteFallback,
    /// As plain text.
    Text,
}

/// Maps tokens to the bytes that they contribute to a text, in which the reference looks for stop strings (transformers
/// 5.24.0, generation/stopping_criteria.py, `clean_tokenizer_vocab`). A token may contain part of a character.
#[derive(Clone, Debug)]
pub struct TokenBytes {
    tokenizer: Arc<Tokenizer>,
    spelling: Spelling,
    prefix: Vec<String>,
}

impl TokenBytes {
    /// Prepares the mapping for a tokenizer.
    pub fn new(tokenizer: impl Into<Arc<Tokenizer>>) -> Self {
        let tokenizer = tokenizer.into();
        let decoder = serde_json::to_value(tokenizer.get_decoder()).unwrap_or_default();
        let spelling = if has_type(&decoder, "ByteFallback") {
            Spelling::ByteFallback
        } else if has_type(&decoder, "ByteLevel") {
            Spelling::ByteLevel
        } else {
            Spelling::Text
        };
        let prefix = tokenizer.encode(PREFIX, false);
        let prefix = prefix.map(|prefix| prefix.get_tokens().to_vec()).unwrap_or_default();
        Self { tokenizer, spelling, prefix }
    }

    /// The bytes of a token, special or not; none for an unknown id.
    pub fn get(&self, id: u32) -> Option<Vec<u8>> {
        let token = self.tokenizer.id_to_token(id)?;
        let bytes = match self.spelling {
            Spelling::ByteLevel => token.chars().map(|c| BYTES.get(&c).copied()).collect(),
            Spelling::ByteFallback => fallback_byte(&token).map(|byte| vec![byte]),
            Spelling::Text => None,
        };
        Some(bytes.unwrap_or_else(|| self.text(token).into_bytes()))
    }

    /// The special tokens, which decoding can skip, with their names.
    pub fn special(&self) -> BTreeMap<u32, String> {
        let tokens = self.tokenizer.get_added_tokens_decoder().into_iter();
        tokens.filter(|(_, token)| token.special).map(|(id, token)| (id, token.content)).collect()
    }

    /// Tokenizes a text that follows another one: no special tokens are added, and control tokens are plain text.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        encode_continuation(&self.tokenizer, text)
    }

    /// The text of a token that follows another one.
    fn text(&self, token: String) -> String {
        let tokens = [self.prefix.as_slice(), std::slice::from_ref(&token)].concat();
        let text = match self.tokenizer.get_decoder() {
            Some(decoder) => decoder.decode(tokens).unwrap_or_default(),
            None => tokens.join(" "),
        };
        text.split_once(PREFIX).map_or(token, |(_, text)| text.to_owned())
    }
}

fn has_type(decoder: &Value, name: &str) -> bool {
    match decoder {
        Value::Object(object) => {
            object.get("type").is_some_and(|kind| kind == name) || object.values().any(|value| has_type(value, name))
        }
        Value::Array(list) => list.iter().any(|value| has_type(value, name)),
        _ => false,
    }
}

fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_byte = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_byte { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The printable character that byte-level vocabularies use for a byte: the character itself if it is printable,
/// otherwise one from U+0100 on (GPT-2, encoder.py, `bytes_to_unicode`).
pub(crate) fn byte_char(byte: u8) -> char {
    let visible = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if visible(byte) {
        return char::from(byte);
    }
    let index = (0..byte).filter(|&other| !visible(other)).count() as u32;
    char::from_u32(0x100 + index).unwrap_or(char::REPLACEMENT_CHARACTER)
}
