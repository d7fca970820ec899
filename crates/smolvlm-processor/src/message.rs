//! Messages and conversations, as a program writes them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use smolvlm_image::Rgb;

/// One turn of a conversation.
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
    /// Who speaks: `user`, `assistant`, `system`, or whatever the chat template knows.
    pub role: String,
    /// What is said and shown, in order.
    pub content: Vec<Content>,
    /// Further keys of the message that a chat template can read (`name`, `tool_calls`, ...). SmolVLM's reads none.
    pub extra: Map<String, Value>,
}

impl Message {
    /// An empty message of any role.
    pub fn new(role: impl Into<String>) -> Self {
        Self { role: role.into(), content: Vec::new(), extra: Map::new() }
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

    /// Appends text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.content.push(Content::Text(text.into()));
        self
    }

    /// Appends an image.
    #[must_use]
    pub fn image(mut self, image: impl Into<ImageSource>) -> Self {
        self.content.push(Content::Image(image.into()));
        self
    }
}

/// One item of a message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// Text.
    Text(String),
    /// An image.
    Image(ImageSource),
}

/// Where an image comes from.
///
/// Strings convert as follows: what starts with `data:`, `file:`, `http:` or `https:` is a URL, anything else a path.
#[derive(Clone)]
#[non_exhaustive]
pub enum ImageSource {
    /// A file. As in the reference, a path at which no file lies may also be the image itself in base64.
    Path(PathBuf),
    /// A `file:`, `data:`, `http:` or `https:` URL; the last two need the cargo feature `http`.
    Url(String),
    /// An encoded image file (PNG, JPEG, ...) in base64, with or without a `data:` prefix.
    Base64(String),
    /// An encoded image file (PNG, JPEG, ...).
    Bytes(Vec<u8>),
    /// Decoded pixels.
    Decoded(Arc<Rgb>),
}

/// Data is shown by its size only.
impl fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&shorten(url)).finish(),
            Self::Base64(text) => write!(f, "Base64({} characters)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Decoded(rgb) => write!(f, "Decoded({}x{})", rgb.height(), rgb.width()),
        }
    }
}

/// Enough of a URL to know which one it is: a `data:` URL may be megabytes long.
pub(crate) fn shorten(url: &str) -> String {
    const KEPT: usize = 100;
    match url.char_indices().nth(KEPT) {
        Some((end, _)) => url.get(..end).map_or_else(String::new, |head| format!("{head}...")),
        None => url.to_owned(),
    }
}

/// The scheme of a URL that an [`ImageSource::Url`] may have, if the text starts with one.
pub(crate) fn scheme(text: &str) -> Option<&'static str> {
    ["data", "file", "http", "https"].into_iter().find(|scheme| {
        let head = text.get(..scheme.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(scheme)) && text.as_bytes().get(scheme.len()) == Some(&b':')
    })
}

impl From<&str> for ImageSource {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for ImageSource {
    fn from(text: String) -> Self {
        if scheme(&text).is_some() { Self::Url(text) } else { Self::Path(PathBuf::from(text)) }
    }
}

impl From<&Path> for ImageSource {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<PathBuf> for ImageSource {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<Vec<u8>> for ImageSource {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for ImageSource {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Rgb> for ImageSource {
    fn from(image: Rgb) -> Self {
        Self::Decoded(Arc::new(image))
    }
}

impl From<Arc<Rgb>> for ImageSource {
    fn from(image: Arc<Rgb>) -> Self {
        Self::Decoded(image)
    }
}

/// Messages in order.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Conversation {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

impl Conversation {
    /// A conversation of these messages.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self { messages: messages.into_iter().collect() }
    }

    /// The images in the order in which the prompt shows them, each with its message and item index.
    pub(crate) fn images(&self) -> impl Iterator<Item = (usize, usize, &ImageSource)> {
        self.messages.iter().enumerate().flat_map(|(index, message)| {
            message.content.iter().enumerate().filter_map(move |(item, content)| match content {
                Content::Image(source) => Some((index, item, source)),
                Content::Text(_) => None,
            })
        })
    }

    /// The first message whose text contains `needle`.
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
    fn strings_become_urls_or_paths() {
        for url in ["data:image/png;base64,AA==", "file:///a.png", "http://h/a", "HTTPS://h/a"] {
            assert!(matches!(ImageSource::from(url), ImageSource::Url(_)), "{url}");
        }
        for path in ["photo.jpg", "http_photo.png", "/tmp/data", "c:/x.png", "", "日本.png"] {
            assert!(matches!(ImageSource::from(path), ImageSource::Path(_)), "{path}");
        }
    }

    #[test]
    fn debug_output_never_prints_the_data() {
        let long = format!("data:image/png;base64,{}", "A".repeat(10_000));
        for source in
            [ImageSource::from(long), ImageSource::Base64("A".repeat(10_000)), ImageSource::from(vec![0_u8; 10_000])]
        {
            assert!(format!("{source:?}").len() < 200);
        }
    }

    #[test]
    fn images_are_listed_in_prompt_order() {
        let conversation = Conversation::from([
            Message::user().text("a").image("1.png"),
            Message::assistant().text("b"),
            Message::user().image("2.png").image("3.png"),
        ]);
        let places: Vec<_> = conversation.images().map(|(m, i, _)| (m, i)).collect();
        assert_eq!(places, [(0, 1), (2, 0), (2, 1)]);
        assert_eq!(conversation.message_with_text("b"), Some(1));
        assert_eq!(conversation.message_with_text("<image>"), None);
    }
}
