//! Text of a token stream, piece by piece.

use tokenizers::Tokenizer;

use crate::error::Error;

/// Ids that stay in the window as context once their text is out. Enough for a decoder that looks at its neighbors, and
/// for UTF-8 to find its character boundaries again wherever the window starts.
const CONTEXT: usize = 8;

/// Ids at which the window is cut back to its context.
const WINDOW: usize = 24;

/// Decodes token ids as they come, without ever splitting a character.
///
/// A byte-level token may hold part of a character; its text is held back until the rest has come. The pieces, together
/// with [`TextDeltas::finish`], are the text that decoding all ids at once gives. Bytes that can no longer become a
/// character come out as U+FFFD, as they do there. Each push decodes a few dozen ids at most, however long the stream.
#[derive(Clone, Debug)]
pub struct TextDeltas<'a> {
    tokenizer: &'a Tokenizer,
    skip_special_tokens: bool,
    /// The last ids: context first, then those whose text may be incomplete.
    window: Vec<u32>,
    /// Bytes of the window's text that are out already.
    emitted: usize,
}

impl<'a> TextDeltas<'a> {
    /// Starts a stream. With `skip_special_tokens`, special tokens have no text.
    pub fn new(tokenizer: &'a Tokenizer, skip_special_tokens: bool) -> Self {
        Self { tokenizer, skip_special_tokens, window: Vec::new(), emitted: 0 }
    }

    /// Takes the next id and gives the text that is certain now, if any. Unknown ids have no text.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, Error> {
        if !self.has_text(id) {
            return Ok(None);
        }
        self.window.push(id);
        let text = self.decode(&self.window)?;
        // A character that is not complete decodes to one U+FFFD at the end. All before it is decided.
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

    /// Ends the stream: gives what was held back, and starts anew.
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

    /// Whether decoding looks at the id at all.
    fn has_text(&self, id: u32) -> bool {
        self.tokenizer.id_to_token(id).is_some_and(|token| {
            !self.skip_special_tokens || !self.tokenizer.get_added_vocabulary().is_special_token(&token)
        })
    }

    fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        self.tokenizer
            .decode(ids, self.skip_special_tokens)
            .map_err(|error| Error::Tokenizer { message: error.to_string() })
    }
}
