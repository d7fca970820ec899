//! Conversations as the JSON that `--conversation` reads.

use crate::failure::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use smolvlm::{Content, Conversation, FrameList, ImageSource, Message, VideoSource};
use std::path::Path;

/// Writes a conversation to a file. Files and URLs stay what they are; data that has no place of its own is written in
/// base64.
pub fn save(conversation: &Conversation, path: &Path) -> Result<(), Failure> {
    let failed = |message: String| Failure::Write { path: path.into(), message };
    if conversation.messages.is_empty() {
        return Err(failed("nothing has been said yet, so there is nothing to save".to_owned()));
    }
    let messages = conversation.messages.iter().map(message).collect::<Option<Vec<Value>>>();
    let messages = messages.ok_or_else(|| failed("decoded pixels cannot be saved".to_owned()))?;
    let text = format!("{:#}\n", Value::from(messages));
    std::fs::write(path, text).map_err(|error| failed(error.to_string()))
}

/// A message; none if it holds what JSON cannot.
fn message(message: &Message) -> Option<Value> {
    let mut object = message.extra.clone();
    let content = message.content.iter().map(item).collect::<Option<Vec<Value>>>()?;
    object.insert("role".to_owned(), message.role.clone().into());
    object.insert("content".to_owned(), content.into());
    Some(object.into())
}

fn item(content: &Content) -> Option<Value> {
    let (kind, mut object) = match content {
        Content::Text(text) => return Some(json!({"type": "text", "text": text})),
        Content::Image(source) => ("image", place(source)?),
        Content::Video(source) => ("video", video(source)?),
        _ => return None,
    };
    object.insert("type".to_owned(), kind.into());
    Some(object.into())
}

fn place(source: &ImageSource) -> Option<Map<String, Value>> {
    Some(match source {
        ImageSource::Path(path) => one("path", path.to_str()?),
        ImageSource::Url(url) => one("url", url.as_str()),
        ImageSource::Base64(data) => one("base64", data.as_str()),
        ImageSource::Bytes(bytes) => one("base64", STANDARD.encode(bytes)),
        _ => return None,
    })
}

fn video(source: &VideoSource) -> Option<Map<String, Value>> {
    Some(match source {
        VideoSource::Path(path) => one("path", path.to_str()?),
        VideoSource::Url(url) => one("url", url.as_str()),
        VideoSource::Base64(data) => one("base64", data.as_str()),
        VideoSource::Bytes(bytes) => one("base64", STANDARD.encode(bytes)),
        VideoSource::Frames(FrameList { images, fps, .. }) => {
            let frames = images.iter().map(|image| place(image).map(Value::from)).collect::<Option<Vec<Value>>>()?;
            let mut object = one("video", frames);
            object.extend(fps.map(|fps| ("fps".to_owned(), json!(fps.as_f64()))));
            object
        }
        _ => return None,
    })
}

fn one(key: &str, value: impl Into<Value>) -> Map<String, Value> {
    Map::from_iter([(key.to_owned(), value.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written_the_same() {
        let value = json!([
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "name": "Ada", "content": [
                {"type": "image", "path": "a.png"},
                {"type": "image", "url": "https://host/b.png"},
                {"type": "image", "base64": "AAAA"},
                {"type": "video", "path": "c.gif"},
                {"type": "video", "url": "data:video/mp4;base64,AAAA"},
                {"type": "video", "video": [{"path": "1.png"}, {"base64": "AAAA"}], "fps": 2.5},
                {"type": "text", "text": "What?"},
            ]},
        ]);
        let conversation = Conversation::from_json(&value.to_string()).unwrap();
        let written: Option<Vec<Value>> = conversation.messages.iter().map(message).collect();
        assert_eq!(Value::from(written.unwrap()), value);
    }

    #[test]
    fn bytes_become_base64() {
        let image = Message::user().image(vec![1, 2, 3]).video(vec![4]);
        let value = message(&image).unwrap();
        assert_eq!(value["content"][0], json!({"type": "image", "base64": "AQID"}));
        assert_eq!(value["content"][1], json!({"type": "video", "base64": "BA=="}));
    }
}
