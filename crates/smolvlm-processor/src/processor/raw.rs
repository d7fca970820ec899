//! Prompts that are given as text or tokens, without a chat template.

use super::Processor;
use crate::batch::Batch;
use crate::error::Error;

impl Processor {
    /// A batch of one prompt that is given as text. The text is tokenized as it is, and control tokens in it take
    /// effect; it cannot contain images.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::PromptText`] for a text that is too long, [`Error::ImageCount`] for a text with
    /// image tokens, [`Error::Tokenizer`].
    pub fn process_text(&self, text: &str) -> Result<Batch, Error> {
        let (bytes, limit) = (text.len(), self.limits.max_prompt_bytes);
        if bytes > limit {
            return Err(Error::PromptText { row: 0, bytes, limit });
        }
        self.raw_batch(self.encode(text)?, text.to_owned())
    }

    /// A batch of one prompt that is given as token ids, which cannot contain images.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::ImageCount`] for image tokens, [`Error::Tokenizer`].
    pub fn process_tokens(&self, ids: &[u32]) -> Result<Batch, Error> {
        self.raw_batch(ids.to_vec(), self.decode(ids, false)?)
    }

    fn raw_batch(&self, ids: Vec<u32>, text: String) -> Result<Batch, Error> {
        if ids.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        let placeholders = ids.iter().filter(|&&id| id == self.image_token_id).count();
        if placeholders > 0 {
            return Err(Error::ImageCount { row: 0, placeholders, images: 0, typed_in: None });
        }
        // A single row needs no padding.
        Batch::new(&[ids], vec![text], vec![Vec::new()], || Ok(0))
    }
}
