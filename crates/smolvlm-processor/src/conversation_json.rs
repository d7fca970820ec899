//! Conversations in Hugging Face's JSON content format.

use std::path::PathBuf;

use serde_json::{Map, Value};
use smolvlm_config::without_byte_order_mark;
use smolvlm_video::Ratio;

use crate::error::{Error, Position, Problem};
use crate::media_options::MediaOptions;
use crate::message::{Content, Conversation, Message};
use crate::policy::MediaPolicy;
use crate::source::{FrameList, ImageSource, VideoSource};

/// Keys that name the kind of a source.
const SOURCE_KEYS: [&str; 4] = ["url", "path", "base64", "bytes"];

/// Keys of an image item's data: those of the reference (transformers 5.24.0, processing_utils.py) and OpenAI's.
const IMAGE_KEYS: [&str; 6] = ["image", "image_url", "url", "path", "base64", "bytes"];

/// Types of image items: the reference's, and OpenAI's of its two interfaces.
const IMAGE_TYPES: [&str; 3] = ["image", "image_url", "input_image"];

/// Keys of a video item's data.
const VIDEO_KEYS: [&str; 6] = ["video", "video_url", "url", "path", "base64", "bytes"];

impl Conversation {
    /// Parses one conversation: a JSON list of `{"role": .., "content": [..]}` messages.
    ///
    /// `content` is a list of items, or a string, which is treated as one text item ([`Message::is_string`]). Items are
    /// - `{"type": "text", "text": ..}`;
    /// - `{"type": "image", "image" | "url" | "path" | "base64" | "bytes": ..}`, where `bytes` is also base64;
    /// - `{"type": "video", "video" | "url" | "path" | "base64" | "bytes": ..}` with an optional `"fps"`; `video` (or
    ///   `path`, ...) may be a list of frame images instead of a string;
    /// - OpenAI's `image_url`, `video_url`, `input_text`, `input_image` and `input_video`, with the URL as a string or
    ///   as an object with the key `url`. OpenAI's `detail` is that of all images of a message, the highest if they
    ///   differ: `low` is one tile, `high` and `original` split images, `auto` is as configured.
    ///
    /// Keys with null values are treated as absent. Unknown keys of an item are ignored; unknown keys of a message are
    /// passed to the chat template.
    ///
    /// # Errors
    /// [`Error::Json`] with line and column, or [`Error::Conversation`] with the message and item index.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let value = parse(text)?;
        let at = Position::default();
        if is_nested_list(&value) {
            return Err(at.error(Problem::SeveralConversations));
        }
        conversation(value, at)
    }

    /// Parses an untrusted conversation: as [`Conversation::from_json`], but images and videos must be inline data
    /// (`data:` URLs, base64), see [`MediaPolicy::untrusted`]. To apply another policy, call [`MediaPolicy::check`]
    /// after [`Conversation::from_json`], which opens nothing.
    ///
    /// # Errors
    /// As [`Conversation::from_json`], [`Error::NotAllowed`], [`Error::TooManyMedia`].
    pub fn from_json_untrusted(text: &str) -> Result<Self, Error> {
        let conversation = Self::from_json(text)?;
        MediaPolicy::untrusted().check(&conversation)?;
        Ok(conversation)
    }

    /// Parses a batch: one list of messages (a batch of one) or a list of such lists.
    ///
    /// # Errors
    /// As [`Conversation::from_json`]; the position also includes the conversation index.
    pub fn many_from_json(text: &str) -> Result<Vec<Self>, Error> {
        let value = parse(text)?;
        match value {
            Value::Array(conversations) if matches!(conversations.first(), Some(Value::Array(_))) => {
                let rows = conversations.into_iter().enumerate();
                rows.map(|(row, value)| conversation(value, Position::conversation(Some(row)))).collect()
            }
            value => Ok(vec![conversation(value, Position::default())?]),
        }
    }
}

fn parse(text: &str) -> Result<Value, Error> {
    serde_json::from_str(without_byte_order_mark(text)).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        // serde_json appends the position to its message; the variant already has it.
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head);
        Error::Json { line, column, message: message.to_owned() }
    })
}

fn is_nested_list(value: &Value) -> bool {
    value.as_array().and_then(|list| list.first()).is_some_and(Value::is_array)
}

fn conversation(value: Value, at: Position) -> Result<Conversation, Error> {
    let Value::Array(messages) = value else {
        return Err(at.error(Problem::NotAList { found: json_type(&value) }));
    };
    if messages.is_empty() {
        return Err(at.error(Problem::NoMessages));
    }
    let messages = messages.into_iter().enumerate();
    let messages = messages.map(|(index, value)| message(value, at.message(index)));
    Ok(Conversation { messages: messages.collect::<Result<_, _>>()? })
}

fn message(value: Value, at: Position) -> Result<Message, Error> {
    let mut object = match value {
        Value::Object(object) => object,
        other => return Err(at.error(Problem::MessageNotObject { found: json_type(&other) })),
    };
    object.retain(|_, value| !value.is_null());
    let role = match object.remove("role") {
        Some(Value::String(role)) => role,
        Some(other) => return Err(at.error(Problem::RoleNotString { found: json_type(&other) })),
        None => return Err(at.error(Problem::MissingRole)),
    };
    let items = match object.remove("content") {
        Some(Value::String(text)) => return Ok(Message { extra: object, ..Message::new(role).string(text) }),
        Some(Value::Array(items)) if items.is_empty() => {
            return Err(at.error(Problem::EmptyContent));
        }
        Some(Value::Array(items)) => items,
        Some(other) => return Err(at.error(Problem::ContentNotList { found: json_type(&other) })),
        None => return Err(at.error(Problem::MissingContent)),
    };
    let details = items.iter().enumerate().map(|(index, value)| detail(value, at.item(index)));
    let details: Vec<Option<Detail>> = details.collect::<Result<_, _>>()?;
    let image_splitting = match details.into_iter().flatten().max() {
        Some(Detail::Low) => Some(false),
        Some(Detail::High) => Some(true),
        Some(Detail::Auto) | None => None,
    };
    let media_options = MediaOptions { image_splitting, ..MediaOptions::default() };
    let items = items.into_iter().enumerate();
    let content = items.map(|(index, value)| content(value, at.item(index)));
    Ok(Message { content: content.collect::<Result<_, _>>()?, media_options, extra: object, ..Message::new(role) })
}

/// OpenAI's `detail` of an image, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    Low,
    Auto,
    High,
}

/// The detail of an item; none for text and videos.
fn detail(item: &Value, at: Position) -> Result<Option<Detail>, Error> {
    let kind = item.get("type").and_then(Value::as_str);
    if !kind.is_some_and(|kind| IMAGE_TYPES.contains(&kind)) {
        return Ok(None);
    }
    let given = item.get("image_url").and_then(|url| url.get("detail")).or_else(|| item.get("detail"));
    match given.filter(|value| !value.is_null()).map(Value::as_str) {
        None | Some(Some("auto")) => Ok(Some(Detail::Auto)),
        Some(Some("low")) => Ok(Some(Detail::Low)),
        Some(Some("high" | "original")) => Ok(Some(Detail::High)),
        _ => Err(at.error(Problem::InvalidDetail)),
    }
}

fn content(value: Value, at: Position) -> Result<Content, Error> {
    let mut object = match value {
        Value::Object(object) => object,
        other => return Err(at.error(Problem::ItemNotObject { found: json_type(&other) })),
    };
    object.retain(|_, value| !value.is_null());
    let Some(item_type) = object.remove("type") else {
        return Err(at.error(Problem::MissingType));
    };
    match item_type.as_str() {
        Some("text" | "input_text") => match object.remove("text") {
            Some(Value::String(text)) => Ok(Content::Text(text)),
            Some(other) => Err(at.error(Problem::NotString { key: "text", found: json_type(&other) })),
            None => Err(at.error(Problem::MissingText)),
        },
        Some(kind) if IMAGE_TYPES.contains(&kind) => image(object, at).map(Content::Image),
        Some("video" | "video_url" | "input_video") => video(object, at).map(Content::Video),
        Some(other) => Err(at.error(Problem::UnknownType { found: other.to_owned() })),
        None => Err(at.error(Problem::NotString { key: "type", found: json_type(&item_type) })),
    }
}

fn image(mut object: Map<String, Value>, at: Position) -> Result<ImageSource, Error> {
    let (key, value) = only_source(&mut object, &IMAGE_KEYS, at)?.ok_or_else(|| at.error(Problem::MissingImage))?;
    image_source(key, value, at)
}

fn image_source(key: &'static str, value: Value, at: Position) -> Result<ImageSource, Error> {
    match source_string(key, value, at)?.ok_or_else(|| at.error(Problem::MissingImage))? {
        ("path", text) => Ok(ImageSource::Path(PathBuf::from(text))),
        ("base64" | "bytes", text) => Ok(ImageSource::Base64(text)),
        (_, text) => Ok(ImageSource::from(text)),
    }
}

fn video(mut object: Map<String, Value>, at: Position) -> Result<VideoSource, Error> {
    let fps = match object.remove("fps") {
        None => None,
        Some(fps) => {
            let fps = fps.as_f64().and_then(Ratio::from_f64).filter(|fps| fps.numerator() > 0);
            Some(fps.ok_or_else(|| at.error(Problem::InvalidFps))?)
        }
    };
    let missing = || at.error(Problem::MissingVideo);
    let (key, value) = only_source(&mut object, &VIDEO_KEYS, at)?.ok_or_else(missing)?;
    if let Value::Array(frames) = value {
        if frames.is_empty() {
            return Err(at.error(Problem::NotString { key, found: "an empty list" }));
        }
        let images = frames.into_iter().map(|frame| image_source(key, frame, at));
        let list = FrameList::new(images.collect::<Result<Vec<_>, _>>()?);
        return Ok(FrameList { fps, ..list }.into());
    }
    match source_string(key, value, at)?.ok_or_else(missing)? {
        ("path", text) => Ok(VideoSource::Path(PathBuf::from(text))),
        ("base64" | "bytes", text) => Ok(VideoSource::Base64(text)),
        (_, text) => Ok(VideoSource::from(text)),
    }
}

/// Takes the source of an item; an error if there are several.
fn only_source(
    object: &mut Map<String, Value>,
    keys: &[&'static str],
    at: Position,
) -> Result<Option<(&'static str, Value)>, Error> {
    let mut given = keys.iter().filter_map(|&key| object.remove(key).map(|value| (key, value)));
    let first = given.next();
    match (&first, given.next()) {
        (Some((first, _)), Some((second, _))) => Err(at.error(Problem::SeveralSources { first, second })),
        _ => Ok(first),
    }
}

/// The source string and the key that gives its kind. The value is a string, or an object with one of the source keys;
/// none for an object with none of them.
fn source_string(key: &'static str, value: Value, at: Position) -> Result<Option<(&'static str, String)>, Error> {
    match value {
        Value::Object(mut object) => {
            object.retain(|_, value| !value.is_null());
            match only_source(&mut object, &SOURCE_KEYS, at)? {
                Some((key, value)) => Ok(Some((key, non_empty_string(key, value, at)?))),
                None => Ok(None),
            }
        }
        value => Ok(Some((key, non_empty_string(key, value, at)?))),
    }
}

fn non_empty_string(key: &'static str, value: Value, at: Position) -> Result<String, Error> {
    match value {
        Value::String(text) if text.is_empty() => Err(at.error(Problem::NotString { key, found: "an empty string" })),
        Value::String(text) => Ok(text),
        other => Err(at.error(Problem::NotString { key, found: json_type(&other) })),
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
