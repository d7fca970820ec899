//! `POST /api/generate`.

use crate::api_error::ApiError;
use crate::ollama::chunks::{Endpoint, answer};
use crate::ollama::{OllamaError, options};
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use crate::request::messages;
use crate::state::{App, Shared};
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use smolvlm::{Conversation, Message, Prompt};

/// A text, or an empty list, which some clients send to load the model.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Nothing([(); 0]),
}

pub(crate) async fn create(
    State(app): State<Shared>,
    admitted: Result<Admitted, ApiError>,
) -> Result<Response, OllamaError> {
    Ok(answer(Endpoint::Generate, &app, admitted?, parse).await?)
}

fn parse(fields: &mut Fields<'_>, app: &App) -> Result<Option<Prompt>, ApiError> {
    let prompt = match fields.take("prompt", "a string")? {
        Some(Text::Text(text)) => text,
        Some(Text::Nothing(_)) | None => String::new(),
    };
    let images: Vec<String> = fields.take("images", "a list of base64 strings")?.unwrap_or_default();
    let system: Option<String> = fields.take("system", "a string")?;
    let is_raw = fields.flag("raw")?.unwrap_or(false);
    if prompt.is_empty() && images.is_empty() {
        return Ok(None);
    }
    if is_raw {
        // Without the template, there is no place for images.
        return if images.is_empty() {
            Ok(Some(Prompt::Text(prompt)))
        } else {
            Err(fields.invalid("raw", "excludes images"))
        };
    }
    let system = system.filter(|system| !system.is_empty()).map(|system| Message::system().text(system));
    let conversation = Conversation::new(system.into_iter().chain([options::message("user", prompt, images)]));
    messages::check(&conversation, app)?;
    Ok(Some(conversation.into()))
}
