//! The crate's error type.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::source::origin;

/// Everything that can go wrong between a conversation and model inputs.
///
/// Sorted by who can mend it: the variants down to [`Error::TooLong`] by whoever wrote the conversation, the `TooMany`
/// and `TooLarge` ones by raising a limit, the rest by whoever prepared the checkpoint directory or runs the machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The conversation text is not JSON.
    #[error("the conversation is not JSON: {message} at line {line}, column {column}")]
    Json {
        /// 1-based line of the first offence.
        line: usize,
        /// 1-based column of the first offence.
        column: usize,
        /// What the JSON reader expected.
        message: String,
    },
    /// A conversation is not of the expected shape.
    #[error("{at}{problem}")]
    Conversation {
        /// Where.
        at: Position,
        /// What is wrong there.
        problem: Problem,
    },
    /// A batch without any conversation.
    #[error("the batch holds no conversation; pass at least one")]
    EmptyBatch,
    /// Both `add_generation_prompt` and `continue_final_message` were asked for.
    #[error("add_generation_prompt and continue_final_message exclude each other; set one of them to false")]
    ConflictingOptions,
    /// `continue_final_message` was asked for, but there is nothing to continue.
    #[error("{at}continue_final_message cannot be honored: {reason}")]
    ContinueFinalMessage {
        /// The conversation and its last message.
        at: Position,
        /// Why not.
        reason: &'static str,
    },
    /// Base64 data cannot be decoded.
    #[error("{at}the data is not base64: {message}")]
    Base64 {
        /// The content item.
        at: Position,
        /// What the decoder met.
        message: String,
    },
    /// A URL cannot be understood.
    #[error("{at}URL {url:?} cannot be read: {reason}")]
    Url {
        /// The content item.
        at: Position,
        /// Scheme and host of the URL.
        url: String,
        /// Why not.
        reason: String,
    },
    /// An image or video could not be fetched over HTTP.
    #[error("{at}URL {url:?} could not be fetched: {reason}")]
    Http {
        /// The content item.
        at: Position,
        /// Scheme and host of the URL.
        url: String,
        /// Status, time limit, refused connection and so on.
        reason: String,
    },
    /// The [`MediaPolicy`](crate::MediaPolicy) does not allow a medium.
    #[error("{at}{what} is not allowed here: {reason}")]
    NotAllowed {
        /// The content item.
        at: Position,
        /// Kind of source, or scheme and host of the URL.
        what: String,
        /// What is allowed, or why this is not.
        reason: String,
    },
    /// A conversation with more images, videos and frames of frame lists than the
    /// [`MediaPolicy`](crate::MediaPolicy) allows.
    #[error("{at}more than {limit} images and videos in one conversation; send fewer, or raise max_media")]
    TooManyMedia {
        /// The first content item that is too much.
        at: Position,
        /// The limit.
        limit: usize,
    },
    /// A value of a [`MediaPolicy`](crate::MediaPolicy) cannot be read.
    #[error("{value:?} is not {legal}")]
    PolicyValue {
        /// What was given.
        value: String,
        /// What it can be.
        legal: &'static str,
    },
    /// An image could not be read, decoded or cut into tiles.
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
    /// A prompt holds another number of image placeholders than its conversation holds images.
    ///
    /// Usually somebody typed the placeholder as text; `typed_in` is then the message.
    #[error("conversation {row}: the prompt holds {placeholders} image placeholder(s), {images} image(s) were given{}",
        typed_hint(*typed_in))]
    ImageCount {
        /// Row of the batch, from 0.
        row: usize,
        /// Placeholders in the rendered prompt.
        placeholders: usize,
        /// Images of the conversation.
        images: usize,
        /// The first message (from 0) whose text contains the placeholder string.
        typed_in: Option<usize>,
    },
    /// A prompt holds another number of video placeholders than its conversation holds videos.
    #[error("conversation {row}: the prompt holds {placeholders} video placeholder(s), {videos} video(s) were given{}",
        typed_hint(*typed_in))]
    VideoCount {
        /// Row of the batch, from 0.
        row: usize,
        /// Placeholders in the rendered prompt.
        placeholders: usize,
        /// Videos of the conversation.
        videos: usize,
        /// The first message (from 0) whose text contains the placeholder string.
        typed_in: Option<usize>,
    },
    /// Not even the newest message fits.
    #[error("the prompt has {tokens} tokens without its older messages, {limit} fit; shorten the last message")]
    TooLong {
        /// Tokens of the shortest prompt.
        tokens: usize,
        /// Tokens that fit.
        limit: usize,
    },
    /// A prompt has more text than allowed.
    #[error("conversation {row}: the prompt has {bytes} bytes of text, the limit is {limit}; shorten its texts")]
    PromptText {
        /// Row of the batch, from 0.
        row: usize,
        /// Bytes of the prompt before its media are expanded.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A prompt would hold more image tokens than allowed.
    #[error("conversation {row}: the prompt needs {tokens} image tokens, the limit is {limit}")]
    TooManyTokens {
        /// Row of the batch, from 0.
        row: usize,
        /// Image tokens needed.
        tokens: usize,
        /// The limit.
        limit: usize,
    },
    /// A batch would hold more tiles than allowed.
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
    /// Images and videos of the checkpoint have tiles of different sizes.
    #[error("images and videos have tiles of {first} and {other} pixels; max_image_size must be the same for both")]
    TileEdges {
        /// Edge of the first tile.
        first: usize,
        /// Another edge.
        other: usize,
    },
    /// A file or download is larger than allowed.
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
    /// The chat template does not compile, or fails on this conversation.
    #[error("chat template{}: {message}", line_hint(*line))]
    Template {
        /// 1-based line of the template.
        line: Option<usize>,
        /// What the template engine says.
        message: String,
    },
    /// The tokenizer cannot be built, or fails.
    #[error("tokenizer: {message}")]
    Tokenizer {
        /// What the tokenizer says.
        message: String,
    },
    /// The tokenizer lacks a token that SmolVLM needs.
    #[error("the tokenizer has no {name}{}", token_hint(token))]
    MissingToken {
        /// `image_token`, `pad_token` and so on.
        name: &'static str,
        /// The string looked for; empty when not even that is known.
        token: String,
    },
    /// Tokenizing gave another number of image tokens than the tile grids need.
    #[error("conversation {row}: the prompt holds {found} image tokens, its images need {needed}")]
    ImageTokens {
        /// Row of the batch, from 0.
        row: usize,
        /// Image token ids found.
        found: usize,
        /// Image token ids that the grids need.
        needed: usize,
    },
    /// A configuration file is missing or wrong.
    #[error(transparent)]
    Config(#[from] smolvlm_config::Error),
    /// A JSON file of the checkpoint cannot be understood.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
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
}

/// A place in a conversation; all counts are from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Position {
    /// Which conversation, when several were given.
    pub conversation: Option<usize>,
    /// Which message.
    pub message: Option<usize>,
    /// Which content item of the message.
    pub item: Option<usize>,
}

impl Position {
    pub(crate) fn conversation(index: Option<usize>) -> Self {
        Self { conversation: index, message: None, item: None }
    }

    pub(crate) fn message(self, index: usize) -> Self {
        Self { message: Some(index), item: None, ..self }
    }

    pub(crate) fn item(self, index: usize) -> Self {
        Self { item: Some(index), ..self }
    }

    pub(crate) fn error(self, problem: Problem) -> Error {
        Error::Conversation { at: self, problem }
    }
}

/// `conversation 1, message 0, item 2: `, or nothing at all.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("conversation", self.conversation), ("message", self.message), ("item", self.item)];
        let mut separator = "";
        for (name, index) in parts {
            if let Some(index) = index {
                write!(f, "{separator}{name} {index}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() { Ok(()) } else { f.write_str(": ") }
    }
}

/// What is wrong with a conversation. `found` names the JSON type that was met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not a list of messages.
    #[error("expected a list of messages, found {found}")]
    NotAList {
        /// JSON type met.
        found: &'static str,
    },
    /// Several conversations where one was expected.
    #[error("expected one list of messages, found a list of conversations")]
    SeveralConversations,
    /// No message at all.
    #[error("the conversation holds no message")]
    NoMessages,
    /// A message that is not an object.
    #[error("a message must be an object with \"role\" and \"content\", found {found}")]
    MessageNotObject {
        /// JSON type met.
        found: &'static str,
    },
    /// A message without a role.
    #[error("the message has no \"role\"")]
    MissingRole,
    /// A role that is not a string.
    #[error("\"role\" must be a string, found {found}")]
    RoleNotString {
        /// JSON type met.
        found: &'static str,
    },
    /// A message without content.
    #[error("the message has no \"content\"")]
    MissingContent,
    /// Content that is neither a list nor a string.
    #[error("\"content\" must be a string or a list of items, found {found}")]
    ContentNotList {
        /// JSON type met.
        found: &'static str,
    },
    /// An empty content list.
    #[error("\"content\" is empty; give at least one item")]
    EmptyContent,
    /// A content item that is not an object.
    #[error("a content item must be an object with \"type\", found {found}")]
    ItemNotObject {
        /// JSON type met.
        found: &'static str,
    },
    /// A content item without a type.
    #[error(
        "the content item has no \"type\"; known types are \"text\", \"image\", \"image_url\", \"video\" and \"video_url\""
    )]
    MissingType,
    /// A content type that is not known.
    #[error(
        "unknown content type {found:?}; known types are \"text\", \"image\", \"image_url\", \"video\" and \"video_url\""
    )]
    UnknownType {
        /// The type met.
        found: String,
    },
    /// Something that has no place in JSON.
    #[error("decoded pixels, processed media and paths that are not text cannot be written as JSON")]
    NotWritable,
    /// A text item without its text.
    #[error("the text item has no \"text\"")]
    MissingText,
    /// An image item without data.
    #[error("the image item has no data; give one of \"image\", \"url\", \"path\" or \"base64\"")]
    MissingImage,
    /// A video item without data.
    #[error("the video item has no data; give one of \"video\", \"url\", \"path\" or \"base64\"")]
    MissingVideo,
    /// A rate that is no number above zero.
    #[error("\"fps\" must be a number of frames a second above 0")]
    BadRate,
    /// An item with more than one source.
    #[error("the item gives both {first:?} and {second:?}; give one")]
    SeveralSources {
        /// First key.
        first: &'static str,
        /// Second key.
        second: &'static str,
    },
    /// A value that has to be a non-empty string.
    #[error("{key:?} must be a non-empty string, found {found}")]
    NotString {
        /// The key.
        key: &'static str,
        /// JSON type met, or `an empty string`.
        found: &'static str,
    },
}

fn typed_hint(typed_in: Option<usize>) -> String {
    typed_in.map_or_else(String::new, |message| {
        format!("; the text of message {message} contains the placeholder itself, which sanitize_control_tokens takes for text")
    })
}

fn line_hint(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

fn token_hint(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!(" {token:?}") }
}
