//! The crate's error type.

mod position;
mod problem;

use std::io;
use std::path::PathBuf;

pub use position::Position;
pub use problem::Problem;

use crate::source::origin;

/// Errors of turning conversations into model inputs.
///
/// Grouped by who can fix it: the variants up to [`Error::TooLong`] by the author of the conversation, the `TooMany`
/// and `TooLarge` ones by raising a limit, the others by fixing the checkpoint directory or the system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The conversation is not valid JSON.
    #[error("the conversation is not JSON: {message} at line {line}, column {column}")]
    Json {
        /// 1-based line of the first error.
        line: usize,
        /// 1-based column of the first error.
        column: usize,
        /// The JSON parser's message.
        message: String,
    },
    /// A conversation does not have the expected structure.
    #[error("{at}{problem}")]
    Conversation {
        /// Position in the conversation.
        at: Position,
        /// The problem.
        problem: Problem,
    },
    /// The batch has no conversations.
    #[error("the batch holds no conversation; pass at least one")]
    EmptyBatch,
    /// A prompt without any token.
    #[error("the prompt is empty; give at least one character or token")]
    EmptyPrompt,
    /// `add_generation_prompt` and `continue_final_message` are both set.
    #[error("add_generation_prompt and continue_final_message exclude each other; set one of them to false")]
    ConflictingOptions,
    /// `continue_final_message` is set, but there is no text to continue.
    #[error("{at}continue_final_message cannot be honored: {reason}")]
    ContinueFinalMessage {
        /// The conversation and its last message.
        at: Position,
        /// The reason.
        reason: &'static str,
    },
    /// An image or video for a model without vision encoder.
    #[error(
        "{at}the model has no vision encoder and takes text only; of a GGUF model, give the mmproj file, too (--mmproj)"
    )]
    TextOnly {
        /// The content item.
        at: Position,
    },
    /// Invalid base64 data.
    #[error("{at}the data is not base64: {message}")]
    Base64 {
        /// The content item.
        at: Position,
        /// The decoder's message.
        message: String,
    },
    /// An invalid or unsupported URL.
    #[error("{at}URL {url:?} cannot be read: {reason}")]
    Url {
        /// The content item.
        at: Position,
        /// Scheme and host of the URL.
        url: String,
        /// The reason.
        reason: String,
    },
    /// An image or video could not be fetched over HTTP.
    #[error("{at}URL {url:?} could not be fetched: {reason}")]
    Http {
        /// The content item.
        at: Position,
        /// Scheme and host of the URL.
        url: String,
        /// The reason: status code, timeout, refused connection, ...
        reason: String,
    },
    /// The [`MediaPolicy`](crate::MediaPolicy) does not allow a medium.
    #[error("{at}{what} is not allowed here: {reason}")]
    NotAllowed {
        /// The content item.
        at: Position,
        /// Kind of source, or scheme and host of the URL.
        what: String,
        /// The reason, or what is allowed.
        reason: String,
    },
    /// A conversation has more images, videos and frames in frame lists than the [`MediaPolicy`](crate::MediaPolicy)
    /// allows.
    #[error("{at}more than {limit} images and videos in one conversation; send fewer, or raise max_media")]
    TooManyMedia {
        /// The first content item over the limit.
        at: Position,
        /// The limit.
        limit: usize,
    },
    /// A value of a [`MediaPolicy`](crate::MediaPolicy) cannot be parsed.
    #[error("{value:?} is not {legal}")]
    PolicyValue {
        /// The value.
        value: String,
        /// Description of valid values.
        legal: &'static str,
    },
    /// An image could not be read, decoded or split into tiles.
    #[error("{at}{source}")]
    Image {
        /// The content item.
        at: Position,
        /// The image crate's error.
        source: smolvlm_image::Error,
    },
    /// A video could not be read, decoded or sampled.
    #[error("{at}{source}")]
    Video {
        /// The content item.
        at: Position,
        /// The video crate's error.
        source: Box<smolvlm_video::Error>,
    },
    /// A video was given as an image.
    #[error("{at}this is a video, not an image; give it as a video ({{\"type\": \"video\"}}, or /video in a chat)")]
    IsVideo {
        /// The content item.
        at: Position,
    },
    /// The number of image placeholders in a prompt differs from the number of images in its conversation.
    ///
    /// The usual cause is a placeholder typed as text; `typed_in` is then the message.
    #[error("conversation {row}: the prompt holds {placeholders} image placeholder(s), {images} image(s) were given{}",
        typed_hint(*typed_in))]
    ImageCount {
        /// Row of the batch, from 0.
        row: usize,
        /// Placeholders in the rendered prompt.
        placeholders: usize,
        /// Images of the conversation.
        images: usize,
        /// Index of the first message whose text contains the placeholder string.
        typed_in: Option<usize>,
    },
    /// The number of video placeholders in a prompt differs from the number of videos in its conversation.
    #[error("conversation {row}: the prompt holds {placeholders} video placeholder(s), {videos} video(s) were given{}",
        typed_hint(*typed_in))]
    VideoCount {
        /// Row of the batch, from 0.
        row: usize,
        /// Placeholders in the rendered prompt.
        placeholders: usize,
        /// Videos of the conversation.
        videos: usize,
        /// Index of the first message whose text contains the placeholder string.
        typed_in: Option<usize>,
    },
    /// Even the last message alone exceeds the context.
    #[error("the prompt has {tokens} tokens without its older messages, {limit} fit; shorten the last message")]
    TooLong {
        /// Tokens of the shortest possible prompt.
        tokens: usize,
        /// Maximum number of tokens.
        limit: usize,
    },
    /// A prompt has more text than the limit.
    #[error("conversation {row}: the prompt has {bytes} bytes of text, the limit is {limit}; shorten its texts")]
    PromptText {
        /// Row of the batch, from 0.
        row: usize,
        /// Bytes of the prompt before placeholder expansion.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A prompt would have more image tokens than the limit.
    #[error("conversation {row}: the prompt needs {tokens} image tokens, the limit is {limit}")]
    TooManyTokens {
        /// Row of the batch, from 0.
        row: usize,
        /// Image tokens needed.
        tokens: usize,
        /// The limit.
        limit: usize,
    },
    /// A batch would have more tiles than the limit.
    #[error(
        "the batch needs at least {tiles} image tiles, the limit is {limit}; use fewer or unsplit images, or fewer \
             conversations at once"
    )]
    TooManyTiles {
        /// Tiles counted so far.
        tiles: usize,
        /// The limit.
        limit: usize,
    },
    /// The tile sizes of images and videos differ.
    #[error("images and videos have tiles of {first} and {other} pixels; max_image_size must be the same for both")]
    TileEdges {
        /// Edge of the first tile in pixels.
        first: usize,
        /// Edge of the first tile of another size in pixels.
        other: usize,
    },
    /// A file or download is larger than the limit.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The file, URL or image item.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The checkpoint has no chat template.
    #[error("the checkpoint has no chat template: looked in the processor files and in tokenizer_config.json")]
    MissingTemplate,
    /// The chat template does not compile, or fails for this conversation.
    #[error("chat template{}: {message}", line_hint(*line))]
    Template {
        /// 1-based line of the template.
        line: Option<usize>,
        /// The template engine's message.
        message: String,
    },
    /// The tokenizer cannot be loaded, or fails.
    #[error("tokenizer: {message}")]
    Tokenizer {
        /// The tokenizer's message.
        message: String,
    },
    /// The tokenizer lacks a token that SmolVLM needs.
    #[error("the tokenizer has no {name}{}", token_hint(token))]
    MissingToken {
        /// `image_token`, `pad_token` and so on.
        name: &'static str,
        /// The token's text; empty if it is not configured.
        token: String,
    },
    /// After tokenization, a prompt does not have the number of image tokens that its tile grids need.
    #[error("conversation {row}: the prompt holds {found} image tokens, its images need {needed}")]
    ImageTokens {
        /// Row of the batch, from 0.
        row: usize,
        /// Number of image token ids in the prompt.
        found: usize,
        /// Number of image token ids that the grids need.
        needed: usize,
    },
    /// The work was cancelled by [`PrepareOptions::cancel`](crate::PrepareOptions::cancel).
    #[error("cancelled")]
    Cancelled,
    /// A configuration file is missing or invalid.
    #[error(transparent)]
    Config(#[from] smolvlm_config::Error),
    /// A JSON file of the checkpoint is invalid.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The problem.
        message: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn url(url: &str, at: Position, reason: &str) -> Self {
        Self::Url { at, url: origin(url), reason: reason.to_owned() }
    }

    pub(crate) fn unknown_scheme(url: &str, at: Position) -> Self {
        Self::url(url, at, "known schemes are data:, file:, http: and https:")
    }

    pub(crate) fn tokenizer(error: tokenizers::Error) -> Self {
        Self::Tokenizer { message: readable(&error.to_string()) }
    }
}

/// Maximum number of characters of a message that quotes a file.
const MAX_QUOTED: usize = 240;

/// Prepares a message that quotes a file for one line of a terminal: escapes control characters and truncates it.
pub(crate) fn readable(text: &str) -> String {
    let escape = |char: char| if char.is_control() { char.escape_debug().collect() } else { char.to_string() };
    let mut quoted: String = text.chars().take(MAX_QUOTED).map(escape).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        quoted.push_str("...");
    }
    quoted
}

fn typed_hint(typed_in: Option<usize>) -> String {
    typed_in.map_or_else(String::new, |message| {
        format!("; the text of message {message} contains the placeholder itself; set sanitize_control_tokens to treat it as text")
    })
}

fn line_hint(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

fn token_hint(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!(" {token:?}") }
}
