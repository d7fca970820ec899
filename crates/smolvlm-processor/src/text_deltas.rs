//! Incremental decoding of a token stream.

use std::sync::Arc;

use tokenizers::Tokenizer;

use crate::error::Error;

/// Number of ids kept in the window as context after their text was returned. Enough for decoders that depend on
/// neighboring tokens, and for UTF-8 to resynchronize wherever the window starts.
const CONTEXT: usize = 8;

/// Number of ids at which the window is reduced to its context.
const WINDOW: usize = 24;

/// Decodes token ids incrementally without splitting characters.
///
/// A byte-level token may contain part of a character; its text is held back until the character is complete. The
/// concatenated pieces, including that of [`TextDeltas::finish`], equal the text of decoding all ids at once. Invalid
/// bytes become U+FFFD, as in that text. Each push decodes at most a few dozen ids, whatever the length of the stream.
#[derive(Clone, Debug)]
pub struct TextDeltas {
    tokenizer: Arc<Tokenizer>,
    skip_special_tokens: bool,
    /// The last ids: context first, then ids whose text may be incomplete.
    window: Vec<u32>,
    /// Bytes of the window's text that were already returned.
    emitted: usize,
}

impl TextDeltas {
    /// Starts a stream. With `skip_special_tokens`, special tokens produce no text.
    pub fn new(tokenizer: impl Into<Arc<Tokenizer>>, skip_special_tokens: bool) -> Self {
        Self { tokenizer: tokenizer.into(), skip_special_tokens, window: Vec::new(), emitted: 0 }
    }

    /// Adds the next id and returns the newly completed text, if any. Unknown ids produce no text.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, Error> {
        if !self.has_text(id) {
            return Ok(None);
        }
        self.window.push(id);
        let text = self.decode(&self.window)?;
        // An incomplete character decodes to one U+FFFD at the end. Everything before it is final.
        let certain = text.strip_suffix(char::REPLACEMENT_CHARACTER).unwrap_or(&text).len();
        let delta = text.get(self.emitted..certain).filter(|delta| !delta.is_empty()).map(str::to_owned);
        self.emitted = self.emitted.max(certain);
        if self.window.len() >= WINDOW {
            let undecided = text.len() - certain;
            self.window.drain(..WINDOW - CONTEXT);
            self.emitted = self.decode(&self.window)?.len().saturating_sub(undecided);
        }
        Ok(delta)
    }

    /// Ends the stream: returns the text held back and resets the state.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer's decoder fails.
    pub fn finish(&mut self) -> Result<Option<String>, Error> {
        let text = self.decode(&self.window)?;
        let rest = text.get(self.emitted..).filter(|rest| !rest.is_empty()).map(str::to_owned);
        self.window.clear();
        self.emitted = 0;
        Ok(rest)
    }

    /// Whether the id contributes to the decoded text.
    fn has_text(&self, id: u32) -> bool {
        self.tokenizer.id_to_token(id).is_some_and(|token| {
            !self.skip_special_tokens || !self.tokenizer.get_added_vocabulary().is_special_token(&token)
        })
    }

    fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        self.tokenizer.decode(ids, self.skip_special_tokens).map_err(Error::tokenizer)
    }
}
