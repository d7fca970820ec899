//! Prompts that are given as text, tokens or processed inputs, without a chat template.

use super::Processor;
use crate::batch::Batch;
use crate::error::Error;
use crate::plan::Media;
use smolvlm_image::Tiles;

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

    /// A batch of prompts that were processed elsewhere: token ids without padding, in which image tokens are already
    /// expanded, and the tiles of each prompt in order.
    ///
    /// # Errors
    /// [`Error::EmptyBatch`], [`Error::EmptyPrompt`], [`Error::ImageTokens`] if the number of image tokens is not that
    /// of the tiles, [`Error::TileEdges`], [`Error::TooManyTiles`], [`Error::Tokenizer`].
    pub fn process_inputs(&self, prompts: Vec<(Vec<u32>, Vec<Tiles>)>) -> Result<Batch, Error> {
        if prompts.is_empty() {
            return Err(Error::EmptyBatch);
        }
        let (tiles, limit) = (prompts.iter().map(|(_, tiles)| tiles.len()).sum(), self.limits.max_batch_tiles);
        if tiles > limit {
            return Err(Error::TooManyTiles { tiles, limit });
        }
        let (mut rows, mut texts, mut media) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (ids, tiles)) in prompts.into_iter().enumerate() {
            if ids.is_empty() {
                return Err(Error::EmptyPrompt);
            }
            let edge = self.config.image.pixels.max_image_size as usize;
            if let Some(other) = tiles.iter().map(|tiles| tiles.edge).find(|&other| other != edge) {
                return Err(Error::TileEdges { first: edge, other });
            }
            let tiles: Vec<Media> = tiles.into_iter().map(Media::Image).collect();
            let needed = tiles.iter().map(Media::tiles).sum::<usize>().saturating_mul(self.config.image_seq_len);
            let found = ids.iter().filter(|&&id| id == self.image_token_id).count();
            if found != needed {
                return Err(Error::ImageTokens { row, found, needed });
            }
            texts.push(self.decode(&ids, false)?);
            rows.push(ids);
            media.push(tiles);
        }
        Batch::new(&rows, texts, media, || Ok(self.pad_token_id().unwrap_or(0)))
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
