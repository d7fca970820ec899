//! What a conversation costs, from the headers of its files alone.

use smolvlm_config::TilePlan;

use crate::error::{Error, Position};
use crate::media::{image_size, open_video};
use crate::message::Conversation;
use crate::plan::MediaPlan;
use crate::process::{Item, Source};
use crate::processor::Processor;
use crate::prompt::Prompt;
use crate::template::RenderOptions;

/// What a conversation costs. Exact: a batch of this conversation alone has these tokens and tiles.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// What stands for each image and video, in the order of the prompt.
    pub media: Vec<MediaPlan>,
    /// Tiles and frames that go through the vision encoder.
    pub tiles: usize,
    /// Edge of a tile in pixels.
    pub edge: usize,
    /// Tokens of the prompt that stand for visual features.
    pub image_tokens: usize,
    /// Tokens of the prompt, all together.
    pub prompt_tokens: usize,
}

impl Processor {
    /// Counts the tiles and tokens of a conversation without decoding any pixel: of images only the headers are read, of
    /// video containers the packets' times. What is given by URL is fetched, though.
    ///
    /// # Errors
    /// As [`Processor::process`], except for damage beyond the headers.
    pub fn estimate(&self, conversation: &Conversation, options: &RenderOptions) -> Result<Estimate, Error> {
        let at = Position::default();
        let prompt = self.render_at(conversation, options, at)?;
        let items = self.items_of(&prompt, conversation, 0, at)?;
        let media = items.into_iter().map(|item| self.plan(item)).collect::<Result<Vec<_>, _>>()?;
        self.estimate_planned(&prompt, media)
    }

    /// A conversation that makes a prompt of at most `max_tokens` tokens: the given one without as many of its oldest
    /// messages as it takes. A message is kept or dropped whole, so no image is ever cut; system messages at the start stay,
    /// and so does the last message.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the last message is too long by itself; otherwise as [`Processor::estimate`].
    pub fn fit(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
        max_tokens: usize,
    ) -> Result<Conversation, Error> {
        let first = conversation.messages.iter().take_while(|message| message.role == "system").count();
        let mut kept = conversation.clone();
        loop {
            let tokens = self.estimate(&kept, options)?.prompt_tokens;
            if tokens <= max_tokens {
                return Ok(kept);
            }
            // A conversation goes on with what the user said, not with an answer to something that is gone.
            let is_start = |index: usize| kept.messages.get(index).is_some_and(|message| message.role == "user");
            let last = kept.messages.len().saturating_sub(1);
            let end = (first + 1..last).find(|&index| is_start(index)).unwrap_or(last);
            if end <= first {
                return Err(Error::TooLong { tokens, limit: max_tokens });
            }
            kept.messages.drain(first..end);
        }
    }

    fn plan(&self, item: Item<'_>) -> Result<MediaPlan, Error> {
        let at = item.at;
        match item.source {
            Source::Image(source) => {
                let (height, width) = image_size(source, self.limits(), at)?;
                let plan = TilePlan::new(height, width, self.image_processor().config());
                let plan = plan.map_err(|error| Error::Image { at, source: error.into() })?;
                Ok(MediaPlan::Image(plan.grid))
            }
            Source::Video(source) => {
                let video = open_video(source, self.limits(), at)?;
                let plan = self.video_processor().plan(video.as_ref());
                Ok(MediaPlan::Video(plan.map_err(|source| Error::Video { at, source: Box::new(source) })?))
            }
            Source::Known(plan) => Ok(plan.clone()),
        }
    }

    fn estimate_planned(&self, prompt: &Prompt, media: Vec<MediaPlan>) -> Result<Estimate, Error> {
        let expansion = self.expansion(None);
        let prompt = expansion.expand(prompt, &media, 0)?;
        let prompt_tokens = self.encode_checked(&prompt, &media, 0)?.len();
        let tiles = media.iter().map(MediaPlan::tiles).sum();
        let edge = self.image_processor().config().max_image_size as usize;
        Ok(Estimate { tiles, edge, image_tokens: expansion.tokens(&media), prompt_tokens, media })
    }
}
