//! Token and tile counts of a conversation, from the headers of its media only.

use crate::error::Error;
use crate::media::Opener;
use crate::message::Conversation;
use crate::plan::MediaPlan;
use crate::processor::Processor;
use crate::template::RenderOptions;

/// Token and tile counts of a conversation. Exact: a batch of only this conversation has the same tokens and tiles.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The plan of each image and video, in prompt order.
    pub media: Vec<MediaPlan>,
    /// Number of tiles and frames for the vision encoder.
    pub tiles: usize,
    /// Edge of a tile in pixels.
    pub edge: usize,
    /// Number of prompt tokens that are replaced by visual features.
    pub image_tokens: usize,
    /// Total number of prompt tokens.
    pub prompt_tokens: usize,
}

impl Processor {
    /// Counts the tiles and tokens of a conversation without decoding pixels: only image headers and the packet
    /// timestamps of video containers are read. URLs are downloaded: JPEG images up to the end of their header, other
    /// media completely.
    ///
    /// # Errors
    /// As [`Processor::process`], except that damage beyond the headers is not detected.
    pub fn estimate(&self, conversation: &Conversation, options: &RenderOptions) -> Result<Estimate, Error> {
        let conversations = std::slice::from_ref(conversation);
        let prepared = self.prepare_all(conversations, options, &mut Opener::headers_only(self))?;
        prepared.estimates().pop().ok_or(Error::EmptyBatch)
    }

    pub(crate) fn estimate_of(&self, media: Vec<MediaPlan>, prompt_tokens: usize) -> Estimate {
        let tiles = media.iter().map(MediaPlan::tiles).fold(0, usize::saturating_add);
        let edge = self.image_processor().config().pixels.max_image_size as usize;
        Estimate { tiles, edge, image_tokens: self.expansion(None).tokens(&media), prompt_tokens, media }
    }
}
