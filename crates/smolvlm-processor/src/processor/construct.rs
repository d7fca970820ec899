//! Construction of processors: parts, configuration, limits and policies.

use std::path::Path;
use std::sync::Arc;

use smolvlm_config::{ModelConfig, ProcessorConfig};
use smolvlm_image::ImageProcessor;
use smolvlm_video::VideoProcessor;
use tokenizers::Tokenizer;

use super::Processor;
use crate::error::{Error, Position};
use crate::limits::ProcessorLimits;
use crate::policy::MediaPolicy;
use crate::template::{ChatTemplate, VIDEO_CHAT_TEMPLATE};
use crate::tokenizer::{SpecialTokens, TokenizerFiles};
use crate::video_prompt::VideoPromptStyle;

impl Processor {
    /// Loads the processor of a checkpoint directory: `tokenizer.json` and the JSON and template files next to it.
    ///
    /// The chat template is the one that [`ProcessorConfig::from_directory`] finds, otherwise that of
    /// `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Io`], [`Error::File`], [`Error::TooLarge`], [`Error::MissingToken`] without an image
    /// token, [`Error::Template`] for a template that does not compile.
    pub fn from_directory(dir: &Path) -> Result<Self, Error> {
        Self::from_directory_with_limits(dir, ProcessorLimits::default())
    }

    /// As [`Processor::from_directory`], with custom limits.
    ///
    /// # Errors
    /// As [`Processor::from_directory`].
    pub fn from_directory_with_limits(dir: &Path, limits: ProcessorLimits) -> Result<Self, Error> {
        let config = ProcessorConfig::from_directory(dir)?;
        let files = TokenizerFiles::read(dir, limits.max_tokenizer_bytes)?;
        let template = config.chat_template.clone().or(files.chat_template);
        Self::from_parts(config, files.tokenizer, files.special, template.as_deref(), limits)
    }

    /// A processor for a tokenizer that uses the released names of special tokens, as far as they are in its
    /// vocabulary.
    ///
    /// Without `template`, the template of `config` is used; without either, everything except rendering works.
    ///
    /// # Errors
    /// [`Error::MissingToken`] without an image token, [`Error::Template`], [`Error::Config`].
    pub fn new(config: ProcessorConfig, tokenizer: Tokenizer, template: Option<String>) -> Result<Self, Error> {
        let special = SpecialTokens::released().known_to(&tokenizer);
        let template = template.or_else(|| config.chat_template.clone());
        Self::from_parts(config, tokenizer, special, template.as_deref(), ProcessorLimits::default())
    }

    /// A processor built from its parts. Truncation and padding of the tokenizer should be off.
    ///
    /// # Errors
    /// As [`Processor::new`].
    pub fn from_parts(
        config: ProcessorConfig,
        tokenizer: Tokenizer,
        special: SpecialTokens,
        template: Option<&str>,
        limits: ProcessorLimits,
    ) -> Result<Self, Error> {
        let image_token_id = tokenizer
            .token_to_id(special.image())
            .ok_or_else(|| Error::MissingToken { name: "image_token", token: special.image().to_owned() })?;
        Self::assemble(config, tokenizer, special, template, limits, image_token_id)
    }

    /// A processor of a model without vision encoder, whose vocabulary may have no image token. Images and videos are
    /// errors. The chat template may take the content of messages as strings only.
    ///
    /// # Errors
    /// As [`Processor::new`], except for the image token.
    pub fn text_only(
        config: ProcessorConfig,
        tokenizer: Tokenizer,
        special: SpecialTokens,
        template: Option<&str>,
        limits: ProcessorLimits,
    ) -> Result<Self, Error> {
        let image_token_id = tokenizer.token_to_id(special.image()).unwrap_or(ModelConfig::NO_IMAGE_TOKEN);
        let processor = Self::assemble(config, tokenizer, special, template, limits, image_token_id)?;
        Ok(Self { text_only: true, ..processor })
    }

    fn assemble(
        config: ProcessorConfig,
        tokenizer: Tokenizer,
        special: SpecialTokens,
        template: Option<&str>,
        limits: ProcessorLimits,
        image_token_id: u32,
    ) -> Result<Self, Error> {
        let template = template.map(|source| ChatTemplate::new(source, limits.template_fuel)).transpose()?;
        let video_template = ChatTemplate::new(VIDEO_CHAT_TEMPLATE, limits.template_fuel)?;
        let (images, videos) = media_processors(&config, &limits)?;
        let video_prompt_style = VideoPromptStyle::default();
        Ok(Self {
            config,
            tokenizer: Arc::new(tokenizer),
            special,
            image_token_id,
            template,
            video_template,
            images,
            videos,
            video_prompt_style,
            limits,
            media_policy: MediaPolicy::default(),
            sanitizes: false,
            text_only: false,
        })
    }

    /// Replaces the configuration; the chat template is kept.
    ///
    /// # Errors
    /// [`Error::Image`] and [`Error::Video`] for an invalid configuration.
    pub fn with_config(mut self, config: ProcessorConfig) -> Result<Self, Error> {
        let samples_images = self.videos.samples_images();
        (self.images, self.videos) = media_processors(&config, &self.limits)?;
        self.videos = self.videos.sampling_images(samples_images);
        self.config = config;
        Ok(self)
    }

    /// Replaces the limits. If only image limits are given, the others are reset to their defaults.
    #[must_use]
    pub fn with_limits(mut self, limits: impl Into<ProcessorLimits>) -> Self {
        let limits = limits.into();
        if let Some(template) = &mut self.template {
            template.set_fuel(limits.template_fuel);
        }
        self.video_template.set_fuel(limits.template_fuel);
        self.images = self.images.with_limits(limits.image.clone());
        self.videos = self.videos.with_limits(limits.video.clone());
        self.limits = limits;
        self
    }

    /// Chooses whether folders and lists of images without times are sampled evenly, at most `num_frames` of
    /// the configuration. By default, all of their images are used.
    #[must_use]
    pub fn sampling_images(mut self, samples: bool) -> Self {
        self.videos = self.videos.sampling_images(samples);
        self
    }

    /// Replaces the media policy: which files, hosts and data conversations may use.
    #[must_use]
    pub fn with_media_policy(mut self, policy: MediaPolicy) -> Self {
        self.media_policy = policy;
        self
    }

    /// Treats control tokens in conversations as plain text, whatever
    /// [`RenderOptions::sanitize_control_tokens`](crate::RenderOptions::sanitize_control_tokens) is.
    #[must_use]
    pub fn sanitizing_control_tokens(mut self, sanitizes: bool) -> Self {
        self.sanitizes = sanitizes;
        self
    }

    /// Sets the prompt text for videos.
    #[must_use]
    pub fn with_video_prompt_style(mut self, words: VideoPromptStyle) -> Self {
        self.video_prompt_style = words;
        self
    }
}

fn media_processors(
    config: &ProcessorConfig,
    limits: &ProcessorLimits,
) -> Result<(ImageProcessor, VideoProcessor), Error> {
    let at = Position::default();
    let images = ImageProcessor::new(config.image.clone()).map_err(|source| Error::Image { at, source })?;
    let videos =
        VideoProcessor::new(config.video.clone()).map_err(|source| Error::Video { at, source: Box::new(source) })?;
    Ok((images.with_limits(limits.image.clone()), videos.with_limits(limits.video.clone())))
}
