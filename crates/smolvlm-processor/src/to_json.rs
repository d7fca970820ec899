//! Serialization of conversations to the JSON that [`Conversation::from_json`] reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::error::{Error, Position, Problem};
use crate::message::{Content, Conversation, Message};
use crate::source::{FrameList, ImageSource, VideoSource};

impl Conversation {
    /// Serializes the conversation to JSON that [`Conversation::from_json`] reads. Files and URLs are written as
    /// references, bytes as base64. The `duration` of a frame list is not written.
    ///
    /// # Errors
    /// [`Error::Conversation`] for an empty conversation, and for decoded pixels, precomputed media and paths that are
    /// not UTF-8.
    pub fn to_json(&self) -> Result<String, Error> {
        if self.messages.is_empty() {
            return Err(Position::default().error(Problem::NoMessages));
        }
        let messages = self.messages.iter().enumerate().map(|(index, content)| {
            message(content).ok_or_else(|| Position::default().message(index).error(Problem::NotSerializable))
        });
        let messages = messages.collect::<Result<Vec<Value>, Error>>()?;
        Ok(format!("{:#}\n", Value::from(messages)))
    }
}

/// The JSON of a message; none if it has content that JSON cannot represent.
fn message(message: &Message) -> Option<Value> {
    let mut object = message.extra.clone();
    let content: Value = match message.as_string() {
        Some(text) => text.into(),
        None => message.content.iter().map(item).collect::<Option<Vec<Value>>>()?.into(),
    };
    object.insert("role".to_owned(), message.role.clone().into());
    object.insert("content".to_owned(), content);
    Some(object.into())
}

fn item(content: &Content) -> Option<Value> {
    let (kind, mut object) = match content {
        Content::Text(text) => return Some(json!({"type": "text", "text": text})),
        Content::Image(source) => ("image", image(source)?),
        Content::Video(source) => ("video", video(source)?),
        Content::Precomputed(_) => return None,
    };
    object.insert("type".to_owned(), kind.into());
    Some(object.into())
}

fn image(source: &ImageSource) -> Option<Map<String, Value>> {
    Some(match source {
        ImageSource::Path(path) => one("path", path.to_str()?),
        ImageSource::Url(url) => one("url", url.as_str()),
        ImageSource::Base64(data) => one("base64", data.as_str()),
        ImageSource::Bytes(bytes) => one("base64", STANDARD.encode(bytes)),
        ImageSource::Decoded(_) => return None,
    })
}

fn video(source: &VideoSource) -> Option<Map<String, Value>> {
    Some(match source {
        VideoSource::Path(path) => one("path", path.to_str()?),
        VideoSource::Url(url) => one("url", url.as_str()),
        VideoSource::Base64(data) => one("base64", data.as_str()),
        VideoSource::Bytes(bytes) => one("base64", STANDARD.encode(bytes)),
        VideoSource::Frames(FrameList { images, fps, .. }) => {
            let frames = images.iter().map(|frame| image(frame).map(Value::from)).collect::<Option<Vec<Value>>>()?;
            let mut object = one("video", frames);
            object.extend(fps.map(|fps| ("fps".to_owned(), json!(fps.as_f64()))));
            object
        }
    })
}

fn one(key: &str, value: impl Into<Value>) -> Map<String, Value> {
    Map::from_iter([(key.to_owned(), value.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trips() {
        let value = json!([
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": "Who are you?"},
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
        let written: Value = serde_json::from_str(&conversation.to_json().unwrap()).unwrap();
        assert_eq!(written, value);
    }

    #[test]
    fn bytes_are_written_as_base64() {
        let image = Message::user().image(vec![1, 2, 3]).video(vec![4]);
        let value = message(&image).unwrap();
        assert_eq!(value["content"][0], json!({"type": "image", "base64": "AQID"}));
        assert_eq!(value["content"][1], json!({"type": "video", "base64": "BA=="}));
    }

    #[test]
    fn unserializable_content_is_an_error() {
        let pixels = smolvlm_image::Rgb::new(1, 1, vec![0; 3]).unwrap();
        let conversation = Conversation::from([Message::user().text("a"), Message::user().image(pixels)]);
        let error = conversation.to_json().unwrap_err().to_string();
        assert!(error.starts_with("message 1: ") && error.contains("decoded"), "{error}");
        assert!(Conversation::default().to_json().unwrap_err().to_string().contains("no message"));
    }
}
