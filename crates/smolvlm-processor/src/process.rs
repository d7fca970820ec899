//! Conversations to a batch of model inputs.

use crate::batch::Batch;
use crate::error::{Error, Position};
use crate::expand::{Kind, Placeholders, check_counts};
use crate::media::{load_image, open_video};
use crate::message::{Content, Conversation};
use crate::plan::{Media, MediaPlan};
use crate::processor::Processor;
use crate::prompt::Prompt;
use crate::source::{ImageSource, VideoSource};
use crate::template::RenderOptions;
use crate::video_prompt::VideoWords;

/// An image or a video of a conversation, and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Item<'c> {
    pub at: Position,
    pub source: Source<'c>,
}

#[derive(Clone, Copy)]
pub(crate) enum Source<'c> {
    Image(&'c ImageSource),
    Video(&'c VideoSource),
    Known(&'c MediaPlan),
}

impl Processor {
    /// Model inputs of a batch of conversations, with any number of images and videos each, padded on the left.
    ///
    /// Media are decoded one after the other, so that only one is in memory besides the tiles. The prompt is expanded from
    /// the very tiles and frames, and the image tokens are counted once more after tokenising.
    ///
    /// # Errors
    /// All of [`Error`]'s input and limit variants, with the conversation, message and item they are about.
    pub fn process(&self, conversations: &[Conversation], options: &RenderOptions) -> Result<Batch, Error> {
        if conversations.is_empty() {
            return Err(Error::EmptyBatch);
        }
        let place = |row| Position::conversation((conversations.len() > 1).then_some(row));
        // Render and count everything before the first medium is touched: that is where mistakes show.
        let mut prompts = Vec::with_capacity(conversations.len());
        let mut items = Vec::with_capacity(conversations.len());
        for (row, conversation) in conversations.iter().enumerate() {
            let prompt = self.render_at(conversation, options, place(row))?;
            items.push(self.items_of(&prompt, conversation, row, place(row))?);
            prompts.push(prompt);
        }
        let mut tile_count = 0;
        let mut media = Vec::with_capacity(conversations.len());
        for items in items {
            media.push(items.into_iter().map(|item| self.load(item, &mut tile_count)).collect::<Result<Vec<_>, _>>()?);
        }
        let frames = media.iter().flatten().filter_map(|media| media.plan().frames());
        let announced = frames.max().filter(|_| self.video_words() == VideoWords::Reference);
        let mut ids = Vec::with_capacity(conversations.len());
        for (row, (prompt, media)) in prompts.iter_mut().zip(&media).enumerate() {
            let plans: Vec<MediaPlan> = media.iter().map(Media::plan).collect();
            *prompt = self.expansion(announced).expand(prompt, &plans, row)?;
            ids.push(self.encode_checked(prompt, &plans, row)?);
        }
        let prompts = prompts.iter().map(Prompt::to_string).collect();
        Batch::new(&ids, prompts, media, || {
            let missing = Error::MissingToken { name: "pad_token", token: String::new() };
            self.pad_token_id().ok_or(missing)
        })
    }

    /// The media of a conversation in the order in which its rendered prompt shows them.
    pub(crate) fn items_of<'c>(
        &self,
        prompt: &Prompt,
        conversation: &'c Conversation,
        row: usize,
        at: Position,
    ) -> Result<Vec<Item<'c>>, Error> {
        let (mut images, mut videos) = (Vec::new(), Vec::new());
        for (message, item, content) in conversation.items() {
            let at = at.message(message).item(item);
            let source = match content {
                Content::Image(source) => Source::Image(source),
                Content::Video(source) => Source::Video(source),
                Content::Known(plan) => Source::Known(plan),
                Content::Text(_) => continue,
            };
            if content.is_video() { &mut videos } else { &mut images }.push(Item { at, source });
        }
        let placeholders = Placeholders::find(prompt, self.special_tokens(), !videos.is_empty());
        check_counts(&placeholders, images.len(), videos.len(), row, |kind| {
            conversation.message_with_text(match kind {
                Kind::Image => self.special_tokens().image(),
                Kind::Video => self.special_tokens().video(),
            })
        })?;
        let (mut images, mut videos) = (images.into_iter(), videos.into_iter());
        let next = |kind| match kind {
            Kind::Image => images.next(),
            Kind::Video => videos.next(),
        };
        Ok(placeholders.kinds().filter_map(next).collect())
    }

    fn load(&self, item: Item<'_>, tile_count: &mut usize) -> Result<Media, Error> {
        let at = item.at;
        let media = match item.source {
            Source::Image(source) => {
                let image = load_image(source, self.limits(), at)?;
                let tiles = self.image_processor().process(&image);
                Media::Image(tiles.map_err(|source| Error::Image { at, source })?)
            }
            Source::Video(source) => {
                let mut video = open_video(source, self.limits(), at)?;
                let tiles = self.video_processor().process(video.as_mut());
                Media::Video(tiles.map_err(|source| Error::Video { at, source: Box::new(source) })?)
            }
            Source::Known(plan) => Media::Known(plan.clone()),
        };
        *tile_count += media.tiles();
        let limit = self.limits().max_batch_tiles;
        if *tile_count > limit { Err(Error::TooManyTiles { tiles: *tile_count, limit }) } else { Ok(media) }
    }

    pub(crate) fn encode_checked(&self, prompt: &Prompt, media: &[MediaPlan], row: usize) -> Result<Vec<u32>, Error> {
        let ids = self.encode_prompt(prompt)?;
        let needed = self.expansion(None).tokens(media);
        let found = ids.iter().filter(|&&id| id == self.image_token_id()).count();
        if found == needed { Ok(ids) } else { Err(Error::ImageTokens { row, found, needed }) }
    }
}
