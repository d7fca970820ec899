//! Messages and conversations.

use serde_json::{Map, Value};

use crate::media_options::MediaOptions;
use crate::plan::MediaPlan;
use crate::source::{ImageSource, VideoSource};

/// One message of a conversation.
///
/// ```
/// use smolvlm_processor::Message;
/// let message = Message::user().image("photo.jpg").text("What is in this picture?");
/// assert_eq!(message.role, "user");
/// assert_eq!(message.content.len(), 2);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// Role of the author: `user`, `assistant`, `system`, or any other role that the chat template supports.
    pub role: String,
    /// Content items, in order.
    pub content: Vec<Content>,
    /// Whether `content`, a single text, was given as a plain string. A chat template that prints strings gets the
    /// string; other templates get a list of items, as they do for any other content.
    pub is_string: bool,
    /// Preprocessing of its images and videos.
    pub media_options: MediaOptions,
    /// Additional keys of the message for the chat template (`name`, `tool_calls`, ...). SmolVLM's template uses none.
    pub extra: Map<String, Value>,
}

impl Message {
    /// An empty message with the given role.
    pub fn new(role: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: Vec::new(),
            is_string: false,
            media_options: MediaOptions::default(),
            extra: Map::new(),
        }
    }

    /// An empty message of role `user`.
    pub fn user() -> Self {
        Self::new("user")
    }

    /// An empty message of role `assistant`.
    pub fn assistant() -> Self {
        Self::new("assistant")
    }

    /// An empty message of role `system`.
    pub fn system() -> Self {
        Self::new("system")
    }

    /// Sets the content to a plain string, as in `{"role": .., "content": ".."}`.
    ///
    /// ```
    /// use smolvlm_processor::{Conversation, Message};
    /// let json = r#"[{"role": "user", "content": "Who are you?"}]"#;
    /// let read = Conversation::from_json(json)?;
    /// assert_eq!(read.messages[0].as_string(), Message::user().string("Who are you?").as_string());
    /// # Ok::<(), smolvlm_processor::Error>(())
    /// ```
    #[must_use]
    pub fn string(mut self, text: impl Into<String>) -> Self {
        self.content = vec![Content::Text(text.into())];
        self.is_string = true;
        self
    }

    /// The content if it is a plain string; none for a list of items.
    pub fn as_string(&self) -> Option<&str> {
        match &*self.content {
            [Content::Text(text)] if self.is_string => Some(text),
            _ => None,
        }
    }

    /// The message with its texts as one string; unchanged with images or videos.
    pub(crate) fn into_string(self) -> Self {
        let texts = self.content.iter().map(|content| match content {
            Content::Text(text) => Some(text.as_str()),
            Content::Image(_) | Content::Video(_) | Content::Precomputed(_) => None,
        });
        match texts.collect::<Option<String>>().filter(|_| !self.content.is_empty()) {
            Some(text) => self.string(text),
            None => self,
        }
    }

    /// Appends text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.content.push(Content::Text(text.into()));
        self
    }

    /// Sets the preprocessing of all its images and videos.
    ///
    /// ```
    /// use smolvlm_processor::{MediaOptions, Message};
    /// let overview = MediaOptions::default().image_splitting(false);
    /// let message = Message::user().image("photo.jpg").text("Is it day or night?").media_options(overview);
    /// ```
    #[must_use]
    pub fn media_options(mut self, options: MediaOptions) -> Self {
        self.media_options = options;
        self
    }

    /// Appends an image.
    #[must_use]
    pub fn image(mut self, image: impl Into<ImageSource>) -> Self {
        self.content.push(Content::Image(image.into()));
        self
    }

    /// Appends a video.
    #[must_use]
    pub fn video(mut self, video: impl Into<VideoSource>) -> Self {
        self.content.push(Content::Video(video.into()));
        self
    }
}

/// One content item of a message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// Text.
    Text(String),
    /// An image.
    Image(ImageSource),
    /// A video.
    Video(VideoSource),
    /// An image or video whose visual features the caller already has: it gets its tokens in the prompt, but no pixels.
    Precomputed(MediaPlan),
}

impl Content {
    /// Whether it is a video.
    pub(crate) fn is_video(&self) -> bool {
        matches!(self, Self::Video(_) | Self::Precomputed(MediaPlan::Video(_)))
    }
}

/// A sequence of messages.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Conversation {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

impl Conversation {
    /// A conversation of the given messages.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self { messages: messages.into_iter().collect() }
    }

    /// Iterates over all content items with their message and item indices.
    pub(crate) fn items(&self) -> impl Iterator<Item = (usize, usize, &Content)> {
        let messages = self.messages.iter().enumerate();
        messages.flat_map(|(index, message)| message.content.iter().enumerate().map(move |(item, c)| (index, item, c)))
    }

    /// Whether the conversation contains a video.
    pub(crate) fn has_video(&self) -> bool {
        self.items().any(|(_, _, content)| content.is_video())
    }

    /// Index of the first message whose text contains `needle`.
    pub(crate) fn message_with_text(&self, needle: &str) -> Option<usize> {
        self.messages.iter().position(|message| {
            message.content.iter().any(|content| matches!(content, Content::Text(text) if text.contains(needle)))
        })
    }
}

impl From<Message> for Conversation {
    fn from(message: Message) -> Self {
        Self { messages: vec![message] }
    }
}

impl From<Vec<Message>> for Conversation {
    fn from(messages: Vec<Message>) -> Self {
        Self { messages }
    }
}

impl From<&[Message]> for Conversation {
    fn from(messages: &[Message]) -> Self {
        Self { messages: messages.to_vec() }
    }
}

impl<const N: usize> From<[Message; N]> for Conversation {
    fn from(messages: [Message; N]) -> Self {
        Self { messages: messages.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_iterated_in_order() {
        let conversation = Conversation::from([
            Message::user().text("a").image("1.png"),
            Message::assistant().text("b"),
            Message::user().video("2.mp4").image("3.png"),
        ]);
        let media = conversation.items().filter(|(_, _, content)| !matches!(content, Content::Text(_)));
        assert_eq!(media.map(|(m, i, _)| (m, i)).collect::<Vec<_>>(), [(0, 1), (2, 0), (2, 1)]);
        assert!(conversation.has_video());
        assert_eq!(conversation.message_with_text("b"), Some(1));
        assert_eq!(conversation.message_with_text("<image>"), None);
    }

    #[test]
    fn string_with_additional_items_becomes_a_list() {
        assert_eq!(Message::user().string("a").as_string(), Some("a"));
        assert_eq!(Message::user().text("a").as_string(), None);
        assert_eq!(Message::user().string("a").text("b").as_string(), None);
    }
}
