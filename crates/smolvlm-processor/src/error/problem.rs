//! Structural problems of conversations.

/// A structural problem of a conversation. `found` is the JSON type found instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The conversation is not a list of messages.
    #[error("expected a list of messages, found {found}")]
    NotAList {
        /// JSON type found.
        found: &'static str,
    },
    /// Several conversations where one was expected.
    #[error("expected one list of messages, found a list of conversations")]
    SeveralConversations,
    /// The conversation has no messages.
    #[error("the conversation holds no message")]
    NoMessages,
    /// A message is not an object.
    #[error("a message must be an object with \"role\" and \"content\", found {found}")]
    MessageNotObject {
        /// JSON type found.
        found: &'static str,
    },
    /// A message has no role.
    #[error("the message has no \"role\"")]
    MissingRole,
    /// A role is not a string.
    #[error("\"role\" must be a string, found {found}")]
    RoleNotString {
        /// JSON type found.
        found: &'static str,
    },
    /// A message has no content.
    #[error("the message has no \"content\"")]
    MissingContent,
    /// Content is neither a list nor a string.
    #[error("\"content\" must be a string or a list of items, found {found}")]
    ContentNotList {
        /// JSON type found.
        found: &'static str,
    },
    /// An empty content list.
    #[error("\"content\" is empty; give at least one item")]
    EmptyContent,
    /// A content item is not an object.
    #[error("a content item must be an object with \"type\", found {found}")]
    ItemNotObject {
        /// JSON type found.
        found: &'static str,
    },
    /// A content item has no type.
    #[error(
        "the content item has no \"type\"; known types are \"text\", \"image\", \"image_url\", \"video\" and \"video_url\""
    )]
    MissingType,
    /// Unknown content type.
    #[error(
        "unknown content type {found:?}; known types are \"text\", \"image\", \"image_url\", \"video\" and \"video_url\""
    )]
    UnknownType {
        /// The type.
        found: String,
    },
    /// Content that cannot be represented in JSON.
    #[error("decoded pixels, processed media and paths that are not text cannot be written as JSON")]
    NotSerializable,
    /// A text item has no text.
    #[error("the text item has no \"text\"")]
    MissingText,
    /// An image item has no source.
    #[error("the image item has no data; give one of \"image\", \"url\", \"path\" or \"base64\"")]
    MissingImage,
    /// A video item has no source.
    #[error("the video item has no data; give one of \"video\", \"url\", \"path\" or \"base64\"")]
    MissingVideo,
    /// `fps` is not a positive number.
    #[error("\"fps\" must be a positive number of frames per second")]
    InvalidFps,
    /// `detail` is not one of OpenAI's words.
    #[error("\"detail\" must be low, high, original or auto")]
    InvalidDetail,
    /// An item has more than one source.
    #[error("the item gives both {first:?} and {second:?}; give one")]
    SeveralSources {
        /// First key.
        first: &'static str,
        /// Second key.
        second: &'static str,
    },
    /// A value is not a non-empty string.
    #[error("{key:?} must be a non-empty string, found {found}")]
    NotString {
        /// The key.
        key: &'static str,
        /// JSON type found, or `an empty string`.
        found: &'static str,
    },
}
