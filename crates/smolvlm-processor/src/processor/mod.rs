//! The processor, which converts conversations to model inputs.

mod construct;
mod raw;
mod render;
mod tokenize;

use std::sync::Arc;

use smolvlm_config::{ModelConfig, ProcessorConfig};
use smolvlm_image::ImageProcessor;
use smolvlm_video::VideoProcessor;
use tokenizers::Tokenizer;

use crate::limits::ProcessorLimits;
use crate::policy::MediaPolicy;
use crate::template::ChatTemplate;
use crate::tokenizer::SpecialTokens;
use crate::video_prompt::VideoPromptStyle;

/// The chat template, tokenizer, image processor and video processor of one checkpoint.
///
/// Needs only the configuration files of a checkpoint, not the weights. All methods take `&self`; one processor can be
/// shared by several threads.
///
/// ```no_run
/// use smolvlm_processor::{Conversation, Message, Processor, RenderOptions};
///
/// let processor = Processor::from_directory("SmolVLM2-256M-Video-Instruct".as_ref())?;
/// let question = Message::user().image("photo.jpg").text("What is in this picture?");
/// let batch = processor.process(&[Conversation::from(question)], &RenderOptions::answer())?;
/// println!("{} tokens, {} tiles", batch.len, batch.tile_count());
/// # Ok::<(), smolvlm_processor::Error>(())
/// ```
#[derive(Debug)]
pub struct Processor {
    config: ProcessorConfig,
    tokenizer: Arc<Tokenizer>,
    special: SpecialTokens,
    image_token_id: u32,
    template: Option<ChatTemplate>,
    video_template: ChatTemplate,
    images: ImageProcessor,
    videos: VideoProcessor,
    video_prompt_style: VideoPromptStyle,
    limits: ProcessorLimits,
    media_policy: MediaPolicy,
    sanitizes: bool,
    text_only: bool,
}

impl Processor {
    /// The configuration.
    pub fn config(&self) -> &ProcessorConfig {
        &self.config
    }

    /// The limits.
    pub fn limits(&self) -> &ProcessorLimits {
        &self.limits
    }

    /// The media policy.
    pub fn media_policy(&self) -> &MediaPolicy {
        &self.media_policy
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The image processor.
    pub fn image_processor(&self) -> &ImageProcessor {
        &self.images
    }

    /// The video processor.
    pub fn video_processor(&self) -> &VideoProcessor {
        &self.videos
    }

    /// The prompt text for videos.
    pub fn video_prompt_style(&self) -> VideoPromptStyle {
        self.video_prompt_style
    }

    /// The chat template, if there is one. Conversations with videos use a different one, as in the reference.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// The special tokens by name.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special
    }

    /// Whether the vocabulary has an image token.
    pub(crate) fn has_image_token(&self) -> bool {
        self.image_token_id != ModelConfig::NO_IMAGE_TOKEN
    }

    /// Whether the model has no vision encoder: images and videos are errors.
    pub fn is_text_only(&self) -> bool {
        self.text_only
    }

    /// Id of the image token, the placeholder of one visual feature;
    /// [`NO_IMAGE_TOKEN`](smolvlm_config::ModelConfig::NO_IMAGE_TOKEN) if the vocabulary has none.
    pub fn image_token_id(&self) -> u32 {
        self.image_token_id
    }
}
