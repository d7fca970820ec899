//! Tokenizers from the vocabulary of byte-level BPE.

use std::collections::HashSet;

use serde_json::Value;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer};

use crate::error::Error;

/// The role of a token in a [`ByteLevelVocabulary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenRole {
    /// Part of a text.
    Normal,
    /// Found in a prompt before it is split, and not part of decoded text.
    Special,
    /// Found in a prompt before it is split, and part of decoded text.
    Added,
}

/// The vocabulary of a byte-level BPE tokenizer with the pre-tokenizer of SmolLM: digits one by one, then GPT-2's
/// pattern. Bytes are spelled as in GPT-2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteLevelVocabulary {
    /// Tokens by id.
    pub tokens: Vec<(String, TokenRole)>,
    /// Pairs of tokens to merge, first ones first.
    pub merges: Vec<(String, String)>,
}

impl ByteLevelVocabulary {
    /// The vocabulary of a tokenizer.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a tokenizer of another kind, or with gaps in its ids.
    pub fn of(tokenizer: &Tokenizer) -> Result<Self, Error> {
        let invalid = |message: &str| Error::Tokenizer { message: message.to_owned() };
        let json = serde_json::to_value(tokenizer).map_err(|error| Error::tokenizer(error.into()))?;
        let parts = ["/pre_tokenizer/pretokenizers/0/type", "/pre_tokenizer/pretokenizers/1/type"];
        let types = parts.map(|part| json.pointer(part).and_then(Value::as_str).unwrap_or_default());
        let individual = json.pointer("/pre_tokenizer/pretokenizers/0/individual_digits").and_then(Value::as_bool);
        if types != ["Digits", "ByteLevel"] || individual != Some(true) {
            return Err(invalid("its pre-tokenizer is not that of SmolLM: single digits, then byte level"));
        }
        let merges = json.pointer("/model/merges").and_then(Value::as_array).ok_or_else(|| invalid("it is not BPE"))?;
        let mut roles = vec![None; tokenizer.get_vocab_size(true)];
        for (token, id) in tokenizer.get_vocab(true) {
            let role = match tokenizer.get_added_tokens_decoder().get(&id) {
                Some(added) if added.special => TokenRole::Special,
                Some(_) => TokenRole::Added,
                None => TokenRole::Normal,
            };
            let slot = roles.get_mut(id as usize).ok_or_else(|| invalid("its ids have gaps"))?;
            *slot = Some((token, role));
        }
        Ok(Self {
            tokens: roles.into_iter().collect::<Option<_>>().ok_or_else(|| invalid("its ids have gaps"))?,
            merges: merges
                .iter()
                .map(merge_pair)
                .collect::<Option<_>>()
                .ok_or_else(|| invalid("a merge is not a pair"))?,
        })
    }

    /// Builds the tokenizer.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a token that occurs twice, or a merge with a token that is not in the vocabulary.
    pub fn tokenizer(&self) -> Result<Tokenizer, Error> {
        let mut seen = HashSet::new();
        let mut tokens = self.tokens.iter().map(|(token, _)| token.as_str());
        if let Some(token) = tokens.find(|token| !seen.insert(*token)) {
            let token: String = token.chars().take(40).collect();
            return Err(Error::Tokenizer { message: format!("the token {token:?} occurs twice in the vocabulary") });
        }
        let vocab = self.tokens.iter().zip(0_u32..).map(|((token, _), id)| (token.clone(), id)).collect::<Vocab>();
        let model = BPE::builder().vocab_and_merges(vocab, self.merges.clone()).build().map_err(Error::tokenizer)?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(pre_tokenizer()));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        let of_role = |role: TokenRole| {
            let tokens = self.tokens.iter().filter(move |(_, own)| *own == role);
            tokens.map(move |(token, _)| AddedToken::from(token.clone(), role == TokenRole::Special).normalized(false))
        };
        tokenizer.add_special_tokens(of_role(TokenRole::Special)).map_err(Error::tokenizer)?;
        tokenizer.add_tokens(of_role(TokenRole::Added)).map_err(Error::tokenizer)?;
        Ok(tokenizer)
    }
}

/// The pre-tokenizer of SmolLM: digits one by one, then GPT-2's pattern on bytes.
pub(crate) fn pre_tokenizer() -> Sequence {
    Sequence::new(vec![
        PreTokenizerWrapper::Digits(Digits::new(true)),
        PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, true)),
    ])
}

/// A merge of a `tokenizer.json`: a list of two tokens, or both separated by a space.
fn merge_pair(merge: &Value) -> Option<(String, String)> {
    match merge {
        Value::String(text) => text.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned())),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(left), Value::String(right)] => Some((left.clone(), right.clone())),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::synthetic_tokenizer;

    fn vocabulary(merges: &[(&str, &str)]) -> ByteLevelVocabulary {
        let bytes = (0..=255).map(|byte| (crate::token_bytes::byte_char(byte).to_string(), TokenRole::Normal));
        let mut tokens = vec![("<|im_start|>".to_owned(), TokenRole::Special), ("<tool>".to_owned(), TokenRole::Added)];
        tokens.extend(bytes);
        tokens.extend(["he", "ll", "hell"].map(|token| (token.to_owned(), TokenRole::Normal)));
        let merges = merges.iter().map(|(left, right)| ((*left).to_owned(), (*right).to_owned())).collect();
        ByteLevelVocabulary { tokens, merges }
    }

    #[test]
    fn tokens_keep_their_ids_and_roles() {
        let tokenizer = vocabulary(&[("h", "e"), ("l", "l"), ("he", "ll")]).tokenizer().unwrap();
        let encoding = tokenizer.encode("<|im_start|>hell<tool>42", false).unwrap();
        let byte = |byte: u8| 2 + u32::from(byte);
        assert_eq!(encoding.get_ids(), [0, 260, 1, byte(b'4'), byte(b'2')]);
        assert_eq!(tokenizer.decode(encoding.get_ids(), true).unwrap(), "hell<tool>42");
    }

    #[test]
    fn vocabulary_survives_the_tokenizer() {
        let own = vocabulary(&[("h", "e"), ("l", "l")]);
        assert_eq!(ByteLevelVocabulary::of(&own.tokenizer().unwrap()).unwrap(), own);
        let synthetic = synthetic_tokenizer(600).unwrap();
        let again = ByteLevelVocabulary::of(&synthetic).unwrap().tokenizer().unwrap();
        let text = "<|im_start|>User: Grüße 2026 👋<image>";
        let ids = |tokenizer: &Tokenizer| tokenizer.encode(text, false).unwrap().get_ids().to_vec();
        assert_eq!(ids(&again), ids(&synthetic));
    }

    #[test]
    fn inconsistent_vocabularies_are_errors() {
        let long = "q\n\u{1b}[31m".repeat(1000);
        let message = vocabulary(&[(&long, "x")]).tokenizer().unwrap_err().to_string();
        assert!(message.len() < 2000 && !message.contains(char::is_control) && message.contains("q\\n"), "{message}");
        let unknown = vocabulary(&[("x", "nothing")]).tokenizer().unwrap_err().to_string();
        assert!(unknown.contains("nothing"), "{unknown}");
        let mut twice = vocabulary(&[]);
        twice.tokens.push(("he".to_owned(), TokenRole::Normal));
        assert!(twice.tokenizer().unwrap_err().to_string().contains("\"he\" occurs twice"));
    }
}
