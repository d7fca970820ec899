//! Conversion of conversations to token ids, a loss mask and tiles.

use crate::assistant_spans::AssistantSpans;
use crate::{Example, SampleError};
use smolvlm_processor::{Media, MediaPlan, Processor, RenderOptions};

/// A conversation converted to model inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Whether each token counts toward the loss. The first one never does, since there is no prediction for it.
    pub loss_mask: Vec<bool>,
    /// Tiles of images and videos in prompt order, `[tiles, 3, edge, edge]`.
    pub pixels: Vec<f32>,
    /// Number of tiles.
    pub tiles: usize,
    /// Edge of a tile in pixels; 0 without tiles.
    pub edge: usize,
}

impl Sample {
    /// Processes a conversation: applies the chat template, tokenizes, makes the tiles and finds the loss mask. `limit`
    /// is the maximum number of tokens.
    ///
    /// # Errors
    ///
    /// All variants of [`SampleError`] except [`SampleError::Read`].
    pub fn new(processor: &Processor, example: &Example, limit: usize) -> Result<Self, SampleError> {
        let conversation = std::slice::from_ref(&example.conversation);
        let batch = processor.process(conversation, &RenderOptions::plain())?;
        if batch.len > limit {
            return Err(SampleError::TooLong { tokens: batch.len, limit });
        }
        let prompt = batch.prompts.first().map(String::as_str).unwrap_or_default();
        let plans: Vec<MediaPlan> = batch.all_media().map(Media::plan).collect();
        let spans = AssistantSpans::find(processor, &example.conversation, prompt, &plans)?;
        let offsets = offsets(processor, prompt, &batch.input_ids)?;
        let image = processor.image_token_id();
        let loss_mask = offsets
            .iter()
            .zip(&batch.input_ids)
            .enumerate()
            .map(|(index, (&offsets, &id))| index > 0 && id != image && spans.contains(offsets));
        let loss_mask: Vec<bool> = loss_mask.collect();
        if !loss_mask.contains(&true) {
            return Err(SampleError::NoTarget);
        }
        let pixels = batch.all_media().flat_map(|media| media.pixels().iter().copied()).collect();
        Ok(Self { loss_mask, pixels, tiles: batch.tile_count(), edge: batch.edge, ids: batch.input_ids })
    }

    /// Number of target tokens: those that count toward the loss.
    pub fn targets(&self) -> usize {
        self.loss_mask.iter().filter(|counts| **counts).count()
    }
}

/// Start and end of each token in the prompt, in bytes.
fn offsets(processor: &Processor, prompt: &str, ids: &[u32]) -> Result<Vec<(usize, usize)>, SampleError> {
    // Whether special tokens are added is the processor's decision; comparing the ids finds out which it took.
    for add_special in [false, true] {
        if let Ok(encoding) = processor.tokenizer().encode(prompt, add_special)
            && encoding.get_ids() == ids
        {
            return Ok(encoding.get_offsets().to_vec());
        }
    }
    Err(SampleError::Offsets)
}
