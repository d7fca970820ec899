//! Conversations to a batch of model inputs.

use smolvlm_config::TileGrid;
use smolvlm_image::Tiles;

use crate::batch::Batch;
use crate::error::{Error, Position};
use crate::expand::image_tokens;
use crate::media;
use crate::message::Conversation;
use crate::processor::Processor;
use crate::template::RenderOptions;

impl Processor {
    /// Model inputs of a batch of conversations, with any number of images each, padded on the left.
    ///
    /// Images are decoded and cut into tiles one after the other, so that only one is in memory besides the tiles. The
    /// prompt is expanded from the very grids of the tiles, and the image tokens are counted once more after tokenising.
    ///
    /// # Errors
    /// All of [`Error`]'s input and limit variants, with the conversation, message and item they are about.
    pub fn process(&self, conversations: &[Conversation], options: &RenderOptions) -> Result<Batch, Error> {
        if conversations.is_empty() {
            return Err(Error::EmptyBatch);
        }
        let place = |row| Position::conversation((conversations.len() > 1).then_some(row));
        // Render and count everything before the first image is touched: that is where mistakes show.
        let mut prompts = Vec::with_capacity(conversations.len());
        for (row, conversation) in conversations.iter().enumerate() {
            let text = self.render_at(conversation, options, place(row))?;
            self.check_image_count(&text, conversation, row)?;
            prompts.push(text);
        }
        let mut images = Vec::with_capacity(conversations.len());
        let mut tile_count = 0;
        for (row, conversation) in conversations.iter().enumerate() {
            images.push(self.load_images(conversation, place(row), &mut tile_count)?);
        }
        let mut ids = Vec::with_capacity(conversations.len());
        for (row, (prompt, images)) in prompts.iter_mut().zip(&images).enumerate() {
            let grids: Vec<TileGrid> = images.iter().map(|tiles| tiles.grid).collect();
            *prompt = self.expand_row(prompt, &grids, row)?;
            ids.push(self.encode_checked(prompt, &grids, row)?);
        }
        Batch::new(&ids, prompts, images, || {
            let missing = Error::MissingToken { name: "pad_token", token: String::new() };
            self.pad_token_id().ok_or(missing)
        })
    }

    fn check_image_count(&self, text: &str, conversation: &Conversation, row: usize) -> Result<(), Error> {
        let placeholders = text.matches(self.special_tokens().image()).count();
        let images = conversation.images().count();
        if placeholders == images {
            return Ok(());
        }
        let typed_in = conversation.message_with_text(self.special_tokens().image());
        Err(Error::ImageCount { row, placeholders, images, typed_in })
    }

    fn load_images(
        &self,
        conversation: &Conversation,
        at: Position,
        tile_count: &mut usize,
    ) -> Result<Vec<Tiles>, Error> {
        let mut all = Vec::new();
        for (message, item, source) in conversation.images() {
            let at = at.message(message).item(item);
            let image = media::load(source, self.image_processor(), self.limits(), at)?;
            let tiles = self.image_processor().process(&image).map_err(|source| Error::Image { at, source })?;
            *tile_count += tiles.tiles;
            if *tile_count > self.limits().max_batch_tiles {
                let limit = self.limits().max_batch_tiles;
                return Err(Error::TooManyTiles { tiles: *tile_count, limit });
            }
            all.push(tiles);
        }
        Ok(all)
    }

    fn encode_checked(&self, prompt: &str, grids: &[TileGrid], row: usize) -> Result<Vec<u32>, Error> {
        let ids = self.encode(prompt)?;
        let needed = image_tokens(grids, self.config().image_seq_len);
        let found = ids.iter().filter(|&&id| id == self.image_token_id()).count();
        if found == needed { Ok(ids) } else { Err(Error::ImageTokens { row, found, needed }) }
    }
}
