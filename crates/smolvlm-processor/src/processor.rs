//! The processor, which converts conversations to model inputs.

use std::path::Path;
use std::sync::Arc;

use smolvlm_config::ProcessorConfig;
use smolvlm_image::ImageProcessor;
use smolvlm_video::VideoProcessor;
use tokenizers::Tokenizer;

use crate::control_tokens::ControlTokens;
use crate::encode::encode_pieces;
use crate::error::{Error, Position};
use crate::expand::Expansion;
use crate::limits::ProcessorLimits;
use crate::message::Conversation;
use crate::plan::MediaPlan;
use crate::policy::MediaPolicy;
use crate::prompt::Prompt;
use crate::spans::{MarkedText, cut_spans, span_marks};
use crate::template::{ChatTemplate, RenderOptions, VIDEO_CHAT_TEMPLATE};
use crate::template_value::View;
use crate::text_deltas::TextDeltas;
use crate::token_bytes::TokenBytes;
use crate::tokenizer::{SpecialTokens, TokenizerFiles, write_files};
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
}

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

    /// Treats control tokens in conversations as plain text, whatever [`RenderOptions::sanitize_control_tokens`] is.
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

    /// Id of the image token, the placeholder of one visual feature.
    pub fn image_token_id(&self) -> u32 {
        self.image_token_id
    }

    /// Id of the token that starts a prompt (bos), if there is one.
    pub fn bos_token_id(&self) -> Option<u32> {
        self.named_id("bos_token")
    }

    /// Id of the token that ends an answer (eos), if there is one.
    pub fn eos_token_id(&self) -> Option<u32> {
        self.named_id("eos_token")
    }

    /// Id of the padding token: the tokenizer's `pad_token`, otherwise its `eos_token`.
    pub fn pad_token_id(&self) -> Option<u32> {
        self.named_id("pad_token").or_else(|| self.eos_token_id())
    }

    fn named_id(&self, name: &str) -> Option<u32> {
        self.tokenizer.token_to_id(self.special.get(name)?)
    }

    /// Size of the tokenizer's vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Renders a conversation with the chat template. Each image and video is a single placeholder; see
    /// [`Processor::expand`]. [`RenderOptions::sanitize_control_tokens`] has no effect here, because the returned text
    /// cannot represent the difference between typed control tokens and those of the template.
    ///
    /// # Errors
    /// [`Error::MissingTemplate`], and those of [`ChatTemplate::render`].
    pub fn render(&self, conversation: &Conversation, options: &RenderOptions) -> Result<String, Error> {
        Ok(self.render_at(conversation, options, Position::default())?.to_string())
    }

    pub(crate) fn render_at(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
        at: Position,
    ) -> Result<Prompt, Error> {
        let template = self.template_of(conversation)?;
        let view = View::new(conversation, &self.special, options);
        if !options.sanitize_control_tokens && !self.sanitizes {
            return Ok(template.render_view(view, at)?.into());
        }
        // With videos, the video placeholder has a special meaning without being a token.
        let video = conversation.has_video().then(|| self.special.video());
        let tokens = ControlTokens::new(&self.tokenizer, template.source(), video)?;
        let text = template.render_view(View { control_tokens: Some(&tokens), ..view }, at)?;
        Ok(tokens.split(&text))
    }

    fn template_of(&self, conversation: &Conversation) -> Result<&ChatTemplate, Error> {
        match conversation.has_video() {
            true => Ok(&self.video_template),
            false => self.template.as_ref().ok_or(Error::MissingTemplate),
        }
    }

    /// The expanded prompt of a conversation and the byte ranges of the assistant's text in it, which the chat template
    /// marks with `{% generation %}` blocks; none if it has no such blocks. `media` are those of the conversation, in
    /// order.
    ///
    /// # Errors
    /// Those of [`Processor::render`] and [`Processor::expand`].
    pub fn assistant_spans(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
        media: &[MediaPlan],
    ) -> Result<Option<MarkedText>, Error> {
        let template = self.template_of(conversation)?;
        if !template.has_generation_blocks() {
            return Ok(None);
        }
        let marks = span_marks(conversation);
        let view = View { span_marks: Some(marks), ..View::new(conversation, &self.special, options) };
        let text = template.render_view(view, Position::default())?;
        Ok(Some(cut_spans(&self.expand(&text, media)?, marks)))
    }

    /// Replaces the placeholders of a prompt by the tokens of the media; images and videos are each used in order.
    ///
    /// # Errors
    /// [`Error::ImageCount`] and [`Error::VideoCount`] if the numbers of placeholders and media differ,
    /// [`Error::TooManyTokens`].
    pub fn expand(&self, text: &str, media: &[MediaPlan]) -> Result<String, Error> {
        Ok(self.expansion(None).expand(&text.to_owned().into(), media, 0)?.to_string())
    }

    /// Parameters of placeholder expansion; `announced` overrides the frame count in the text of each video.
    pub(crate) fn expansion(&self, announced: Option<usize>) -> Expansion<'_> {
        Expansion {
            special: &self.special,
            image_seq_len: self.config.image_seq_len,
            max_bytes: self.limits.max_prompt_bytes,
            max_tokens: self.limits.max_prompt_tokens,
            words: self.video_prompt_style,
            announced,
        }
    }

    /// Tokenizes a text. If the text starts with the bos token, the tokenizer's post-processor adds no special tokens
    /// (transformers 5.24.0, processing_utils.py, `apply_chat_template`).
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.tokenizer.encode_fast(text, self.adds_special(text));
        Ok(encoding.map_err(tokenizer_error)?.get_ids().to_vec())
    }

    /// Tokenizes a prompt: special tokens are recognized in rendered text but not in user-typed text, as in the
    /// reference (transformers 5.24.0, utils/chat_template_utils.py, `encode_marked_chat`).
    pub(crate) fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, Error> {
        match prompt.as_text() {
            Some(text) => self.encode(text),
            None => encode_pieces(&self.tokenizer, &prompt.pieces, self.adds_special(&prompt.to_string())),
        }
    }

    /// Whether the tokenizer's post-processor adds its special tokens to a text.
    fn adds_special(&self, text: &str) -> bool {
        !self.special.get("bos_token").is_some_and(|bos| text.starts_with(bos))
    }

    /// The byte representation of the tokens.
    pub fn token_bytes(&self) -> TokenBytes {
        TokenBytes::new(self.tokenizer.clone())
    }

    /// Decodes token ids to text. Unknown ids are skipped, and with `skip_special_tokens` special tokens, too.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, Error> {
        self.tokenizer.decode(ids, skip_special_tokens).map_err(tokenizer_error)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into `dir`, which must exist. The latter contains the
    /// special tokens and the chat template; [`Processor::from_directory`] reads both.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], [`Error::Io`].
    pub fn save_tokenizer(&self, dir: &Path) -> Result<(), Error> {
        write_files(dir, &self.tokenizer, &self.special, self.template.as_ref().map(ChatTemplate::source))
    }

    /// Starts incremental decoding of a stream of token ids.
    pub fn text_deltas(&self, skip_special_tokens: bool) -> TextDeltas {
        TextDeltas::new(self.tokenizer.clone(), skip_special_tokens)
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

pub(crate) fn tokenizer_error(error: tokenizers::Error) -> Error {
    Error::Tokenizer { message: error.to_string() }
}
