//! What a conversation costs, from the headers of its files alone.

use crate::error::Error;
use crate::media::Opener;
use crate::message::Conversation;
use crate::plan::MediaPlan;
use crate::processor::Processor;
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
    /// video containers the packets' times. What is given by URL is fetched: of a JPEG image as far as its header goes,
    /// anything else whole.
    ///
    /// # Errors
    /// As [`Processor::process`], except for damage beyond the headers.
    pub fn estimate(&self, conversation: &Conversation, options: &RenderOptions) -> Result<Estimate, Error> {
        let conversations = std::slice::from_ref(conversation);
        let prepared = self.prepare_with(conversations, options, &mut Opener::new(self, true))?;
        prepared.estimates().pop().ok_or(Error::EmptyBatch)
    }

    pub(crate) fn estimate_of(&self, media: Vec<MediaPlan>, prompt_tokens: usize) -> Estimate {
        let tiles = media.iter().map(MediaPlan::tiles).fold(0, usize::saturating_add);
        let edge = self.image_processor().config().max_image_size as usize;
        Estimate { tiles, edge, image_tokens: self.expansion(None).tokens(&media), prompt_tokens, media }
    }
}
