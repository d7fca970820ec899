//! Conversations in Hugging Face's JSON content format.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::error::{Error, Position, Problem};
use crate::message::{Content, Conversation, ImageSource, Message};

/// Keys under which an image item may carry its data (transformers 5.23.0, processing_utils.py).
const IMAGE_KEYS: [&str; 4] = ["image", "url", "path", "base64"];

impl Conversation {
    /// Reads one conversation: a JSON list of `{"role": .., "content": [..]}` messages.
    ///
    /// Content items are `{"type": "text", "text": ..}`, `{"type": "image", "image" | "url" | "path" | "base64": ..}` and
    /// OpenAI's `{"type": "image_url", "image_url": {"url": ..}}` (or the URL as a plain string). Keys with null values
    /// count as absent; further keys of an item are ignored, further keys of a message go to the chat template.
    ///
    /// # Errors
    /// [`Error::Json`] with line and column, or [`Error::Conversation`] with the message and item index.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let value = parse(text)?;
        let at = Position::default();
        if starts_with_a_list(&value) {
            return Err(at.error(Problem::SeveralConversations));
        }
        conversation(value, at)
    }

    /// Reads a batch: one list of messages (a batch of one) or a list of such lists.
    ///
    /// # Errors
    /// As [`Conversation::from_json`]; the position then also names the conversation.
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
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        // serde_json appends the place to its message; the variant carries it already.
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head);
        Error::Json { line, column, message: message.to_owned() }
    })
}

fn starts_with_a_list(value: &Value) -> bool {
    value.as_array().and_then(|list| list.first()).is_some_and(Value::is_array)
}

fn conversation(value: Value, at: Position) -> Result<Conversation, Error> {
    let Value::Array(messages) = value else {
        return Err(at.error(Problem::NotAList { found: kind(&value) }));
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
        other => return Err(at.error(Problem::MessageNotObject { found: kind(&other) })),
    };
    object.retain(|_, value| !value.is_null());
    let role = match object.remove("role") {
        Some(Value::String(role)) => role,
        Some(other) => return Err(at.error(Problem::RoleNotString { found: kind(&other) })),
        None => return Err(at.error(Problem::MissingRole)),
    };
    let items = match object.remove("content") {
        Some(Value::Array(items)) if items.is_empty() => {
            return Err(at.error(Problem::EmptyContent));
        }
        Some(Value::Array(items)) => items,
        Some(Value::String(_)) => return Err(at.error(Problem::StringContent)),
        Some(other) => return Err(at.error(Problem::ContentNotList { found: kind(&other) })),
        None => return Err(at.error(Problem::MissingContent)),
    };
    let items = items.into_iter().enumerate();
    let content = items.map(|(index, value)| content(value, at.item(index)));
    Ok(Message { role, content: content.collect::<Result<_, _>>()?, extra: object })
}

fn content(value: Value, at: Position) -> Result<Content, Error> {
    let mut object = match value {
        Value::Object(object) => object,
        other => return Err(at.error(Problem::ItemNotObject { found: kind(&other) })),
    };
    object.retain(|_, value| !value.is_null());
    let Some(item_type) = object.remove("type") else {
        return Err(at.error(Problem::MissingType));
    };
    match item_type.as_str() {
        Some("text") => match object.remove("text") {
            Some(Value::String(text)) => Ok(Content::Text(text)),
            Some(other) => Err(at.error(Problem::NotString { key: "text", found: kind(&other) })),
            None => Err(at.error(Problem::MissingText)),
        },
        Some("image") => image(object, at).map(Content::Image),
        Some("image_url") => image_url(object, at).map(Content::Image),
        Some(other) => Err(at.error(Problem::UnknownType { found: other.to_owned() })),
        None => Err(at.error(Problem::NotString { key: "type", found: kind(&item_type) })),
    }
}

fn image(mut object: Map<String, Value>, at: Position) -> Result<ImageSource, Error> {
    let mut given = IMAGE_KEYS.into_iter().filter_map(|key| object.remove(key).map(|v| (key, v)));
    let Some((key, value)) = given.next() else {
        return Err(at.error(Problem::MissingImage));
    };
    if let Some((second, _)) = given.next() {
        return Err(at.error(Problem::SeveralImages { first: key, second }));
    }
    let text = filled(key, value, at)?;
    Ok(match key {
        "path" => ImageSource::Path(PathBuf::from(text)),
        "base64" => ImageSource::Base64(text),
        _ => ImageSource::from(text),
    })
}

fn image_url(mut object: Map<String, Value>, at: Position) -> Result<ImageSource, Error> {
    let value = match object.remove("image_url") {
        Some(Value::Object(mut inner)) => inner.remove("url"),
        other => other,
    };
    match value {
        None | Some(Value::Null) => Err(at.error(Problem::MissingImage)),
        Some(value) => Ok(ImageSource::from(filled("image_url", value, at)?)),
    }
}

fn filled(key: &'static str, value: Value, at: Position) -> Result<String, Error> {
    match value {
        Value::String(text) if text.is_empty() => Err(at.error(Problem::NotString { key, found: "an empty string" })),
        Value::String(text) => Ok(text),
        other => Err(at.error(Problem::NotString { key, found: kind(&other) })),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
