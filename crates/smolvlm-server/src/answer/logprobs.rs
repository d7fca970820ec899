//! Log-probabilities of the tokens of a text.

use smolvlm::TokenLogprobs;
use smolvlm::processor::{Processor, TokenBytes};
use std::collections::VecDeque;

/// A token of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextToken {
    pub(crate) piece: Piece,
    pub(crate) logprob: f32,
    /// The most likely tokens at its position.
    pub(crate) top: Vec<(Piece, f32)>,
}

/// The text of a token. The bytes may be part of a character.
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
}

/// Divides a text that is sent in parts among its tokens, so that the bytes of the tokens of a part are its text. For
/// this, text is held back until its last token is complete.
pub(crate) struct TokenAligner<'a> {
    pieces: Pieces<'a>,
    skips_special: bool,
    /// Tokens that were not sent.
    tokens: VecDeque<TextToken>,
    /// Text that was not sent.
    text: String,
    /// Whether white space at the start of the tokens is not part of the text.
    trims: bool,
}

impl<'a> TokenAligner<'a> {
    pub(crate) fn new(processor: &'a Processor, skips_special: bool, trims: bool) -> Self {
        let pieces = Pieces::new(processor);
        Self { pieces, skips_special, tokens: VecDeque::new(), text: String::new(), trims }
    }

    /// Adds a token.
    pub(crate) fn push_token(&mut self, id: u32, logprobs: &TokenLogprobs) {
        if self.skips_special && self.pieces.is_special(id) {
            return;
        }
        let top = logprobs.top.iter().map(|&(id, logprob)| (self.pieces.piece(id), logprob)).collect();
        self.tokens.push_back(TextToken { piece: self.pieces.piece(id), logprob: logprobs.logprob, top });
    }

    /// Adds text, which may end inside a token. Returns the text of whole tokens.
    pub(crate) fn push_text(&mut self, text: &str) -> (String, Vec<TextToken>) {
        self.text.push_str(text);
        if self.trims && !self.text.is_empty() {
            self.trims = false;
            self.trim_tokens();
        }
        let (mut tokens, mut taken) = (0, 0);
        // The tokens so far whose end is that of a character.
        let mut whole = (0, 0);
        for token in &self.tokens {
            let rest = self.text.as_bytes().get(taken..).unwrap_or_default();
            if rest.starts_with(&token.piece.bytes) {
                taken += token.piece.bytes.len();
            } else if token.piece.bytes.starts_with(rest) {
                break;
            } else {
                // Bytes that are not text became a replacement character: these tokens have all of the text.
                taken = self.text.len();
            }
            tokens += 1;
            if self.text.is_char_boundary(taken) {
                whole = (tokens, taken);
            }
        }
        let (tokens, taken) = whole;
        let rest = self.text.split_off(taken);
        (std::mem::replace(&mut self.text, rest), self.tokens.drain(..tokens).collect())
    }

    /// Returns the rest of the text, which may end inside a token.
    pub(crate) fn finish(&mut self) -> (String, Vec<TextToken>) {
        let (text, mut left) = (std::mem::take(&mut self.text), 0);
        let tokens = self.tokens.drain(..).map_while(|mut token| {
            let room = text.len().saturating_sub(left);
            token.piece.bytes.truncate(room);
            left += token.piece.bytes.len();
            (!token.piece.bytes.is_empty()).then_some(token)
        });
        let tokens = tokens.collect();
        (text, tokens)
    }

    /// Removes white space from the start of the tokens.
    fn trim_tokens(&mut self) {
        let bytes: Vec<u8> = self.tokens.iter().flat_map(|token| token.piece.bytes.iter().copied()).collect();
        let start = String::from_utf8_lossy(&bytes);
        let mut spaces = start.len() - start.trim_start().len();
        for token in &mut self.tokens {
            let removed = spaces.min(token.piece.bytes.len());
            token.piece.bytes.drain(..removed);
            spaces -= removed;
        }
        self.tokens.retain(|token| !token.piece.bytes.is_empty());
    }
}
