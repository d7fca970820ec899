//! Preprocessing of conversations to a batch of model inputs.

use crate::batch::Batch;
use crate::error::{Error, Position};
use crate::expand::{Kind, Placeholders, check_counts};
use crate::media_options::MediaOptions;
use crate::message::{Content, Conversation, Message};
use crate::plan::MediaPlan;
use crate::processor::Processor;
use crate::prompt::Prompt;
use crate::source::{ImageSource, VideoSource};
use crate::template::RenderOptions;

/// An image or video of a conversation and its position.
#[derive(Clone, Copy)]
pub(crate) struct Item<'c> {
    pub at: Position,
    pub source: Source<'c>,
    pub options: MediaOptions,
}

impl<'c> Item<'c> {
    /// None for text.
    pub(crate) fn of(message: &'c Message, content: &'c Content, at: Position) -> Option<Self> {
        Some(Self { at, source: Source::of(content)?, options: message.media_options })
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Source<'c> {
    Image(&'c ImageSource),
    Video(&'c VideoSource),
    Known(&'c MediaPlan),
}

impl<'c> Source<'c> {
    fn of(content: &'c Content) -> Option<Self> {
        match content {
            Content::Image(source) => Some(Self::Image(source)),
            Content::Video(source) => Some(Self::Video(source)),
            Content::Precomputed(plan) => Some(Self::Known(plan)),
            Content::Text(_) => None,
        }
    }
}

impl Processor {
    /// Preprocesses a batch of conversations, with any number of images and videos each, padded on the left.
    ///
    /// All media are first opened and planned from their headers, then decoded one after the other, so that only one
    /// decoded medium is in memory in addition to the tiles. [`Processor::prepare`] does only the first step. The
    /// prompt is expanded for the actual tiles and frames, and the image tokens are counted again after tokenization.
    ///
    /// # Errors
    /// All input and limit variants of [`Error`], with the conversation, message and item.
    pub fn process(&self, conversations: &[Conversation], options: &RenderOptions) -> Result<Batch, Error> {
        self.prepare(conversations, options)?.load()
    }

    /// The media of a conversation in the order of the placeholders in its rendered prompt.
    pub(crate) fn items_of<'c>(
        &self,
        prompt: &Prompt,
        conversation: &'c Conversation,
        row: usize,
        at: Position,
    ) -> Result<Vec<Item<'c>>, Error> {
        let (mut images, mut videos) = (Vec::new(), Vec::new());
        for (index, item, content) in conversation.items() {
            let Some(message) = conversation.messages.get(index) else { continue };
            let Some(item) = Item::of(message, content, at.message(index).item(item)) else { continue };
            if content.is_video() { &mut videos } else { &mut images }.push(item);
        }
        let placeholders =
            Placeholders::find(prompt, self.special_tokens(), self.has_image_token(), !videos.is_empty());
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

    pub(crate) fn encode_checked(&self, prompt: &Prompt, media: &[MediaPlan], row: usize) -> Result<Vec<u32>, Error> {
        let ids = self.encode_prompt(prompt)?;
        let needed = self.expansion(None).tokens(media);
        let found = ids.iter().filter(|&&id| id == self.image_token_id()).count();
        if found == needed { Ok(ids) } else { Err(Error::ImageTokens { row, found, needed }) }
    }
}
