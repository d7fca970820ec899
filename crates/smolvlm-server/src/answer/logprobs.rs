//! Log-probabilities of the tokens of a text.

use smolvlm::TokenLogprobs;
use smolvlm::processor::{Processor, TokenBytes};

/// A token of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextToken {
    pub(crate) piece: Piece,
    pub(crate) logprob: f32,
    /// The most likely tokens at its position.
    pub(crate) top: Vec<(Piece, f32)>,
}

/// What a token adds to the text. The bytes may be part of a character.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) id: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Piece {
    /// The text, with a replacement for incomplete characters.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Maps tokens to what they add to a text.
pub(crate) struct Pieces<'a> {
    processor: &'a Processor,
    bytes: TokenBytes,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(processor: &'a Processor) -> Self {
        Self { processor, bytes: processor.token_bytes() }
    }

    pub(crate) fn piece(&self, id: u32) -> Piece {
        Piece { id, bytes: self.bytes.get(id).unwrap_or_default() }
    }

    fn is_special(&self, id: u32) -> bool {
        let tokenizer = self.processor.tokenizer();
        tokenizer.id_to_token(id).is_some_and(|token| tokenizer.get_added_vocabulary().is_special_token(&token))
    }

    /// The tokens of `text`, which is the text of all tokens without the white space that was removed from its start
    /// and without what follows a stop string. The bytes of the tokens concatenate to the text.
    pub(crate) fn of_text(
        &self,
        ids: &[u32],
        logprobs: &[TokenLogprobs],
        text: &str,
        skip_special: bool,
    ) -> Vec<TextToken> {
        let mut left = text.len();
        let mut at_start = true;
        let mut tokens = Vec::new();
        for (&id, logprobs) in ids.iter().zip(logprobs) {
            if skip_special && self.is_special(id) {
                continue;
            }
            let mut piece = self.piece(id);
            if at_start && !text.starts_with(char::is_whitespace) {
                let spaces = piece.bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                piece.bytes.drain(..spaces);
            }
            if piece.bytes.is_empty() {
                continue;
            }
            at_start = false;
            piece.bytes.truncate(left);
            if piece.bytes.is_empty() {
                break;
            }
            left -= piece.bytes.len();
            let top = logprobs.top.iter().map(|&(id, logprob)| (self.piece(id), logprob)).collect();
            tokens.push(TextToken { piece, logprob: logprobs.logprob, top });
        }
        tokens
    }
}
