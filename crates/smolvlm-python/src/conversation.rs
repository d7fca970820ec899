//! Conversations and prompts from Python.

use crate::error::{exception, invalid_json, of_kind};
use crate::media;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use serde::Deserialize;
use smolvlm::processor::RenderOptions;
use smolvlm::{Content, ErrorKind, MediaOptions, Prompt};

/// A parsed conversation.
#[pyclass(frozen, module = "smolvlm._native")]
pub struct Conversation(pub smolvlm::Conversation);

/// Preprocessing of all images and videos of a conversation.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    image_splitting: Option<bool>,
    longest_edge: Option<u32>,
    video_fps: Option<f64>,
    video_frames: Option<u32>,
}

#[pymethods]
impl Conversation {
    #[new]
    #[pyo3(signature = (json, media=Vec::new(), options=None))]
    fn new(json: &str, media: Vec<(usize, usize, Bound<'_, PyAny>)>, options: Option<&str>) -> PyResult<Self> {
        let mut conversation =
            smolvlm::Conversation::from_json(json).map_err(|error| exception(smolvlm::Error::from(error)))?;
        for (message, item, value) in media {
            let content = conversation.messages.get_mut(message).and_then(|message| message.content.get_mut(item));
            match content {
                Some(Content::Image(source)) => *source = media::image(&value)?,
                Some(Content::Video(source)) => *source = media::video(&value)?,
                _ => {
                    let text = format!("message {message} has no image or video at index {item}");
                    return Err(of_kind(ErrorKind::Input, &text));
                }
            }
        }
        let fields: Fields = options
            .map_or_else(|| Ok(Fields::default()), serde_json::from_str)
            .map_err(|error| invalid_json(&error))?;
        let mut options = MediaOptions::default();
        options.image_splitting = fields.image_splitting;
        options.longest_edge = fields.longest_edge;
        options.video_fps = fields.video_fps;
        options.video_frames = fields.video_frames;
        for message in &mut conversation.messages {
            message.media_options = message.media_options.or(options);
        }
        Ok(Self(conversation))
    }
}

/// A conversation, a text to continue, or token ids to continue.
pub fn prompt(value: &Bound<'_, PyAny>, render: &RenderOptions) -> PyResult<Prompt> {
    if let Ok(conversation) = value.cast::<Conversation>() {
        return Ok(Prompt::Conversation(conversation.get().0.clone(), render.clone()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Prompt::Text(text.to_string()));
    }
    let ids = value.extract::<Vec<u32>>();
    ids.map(Prompt::Tokens)
        .map_err(|_| PyTypeError::new_err("a prompt is a conversation, a text, or a list of token ids"))
}

/// How a prompt is rendered.
pub fn render_options(continue_final: bool, sanitize: bool) -> RenderOptions {
    let options = if continue_final { RenderOptions::continue_final() } else { RenderOptions::answer() };
    if sanitize { options.sanitized() } else { options }
}
