//! `POST /api/generate`.

use crate::error::ApiError;
use crate::ollama::chunks::{Request, Route, answer};
use crate::ollama::{OllamaError, options};
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use crate::request::messages;
use crate::state::Shared;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use smolvlm::{Conversation, Message};

/// A text, or an empty list, which some clients send to load the model.
#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Nothing([(); 0]),
}

pub(crate) async fn create(
    State(app): State<Shared>,
    admitted: Result<Admitted, ApiError>,
) -> Result<Response, OllamaError> {
    let Admitted { model, body, place, arrival } = admitted?;
    let mut fields = Fields::parse(&body)?;
    let (params, stream) = options::parse(&mut fields, &app, &model)?;
    let prompt = match fields.take("prompt", "a string")? {
        Some(Prompt::Text(text)) => text,
        Some(Prompt::Nothing(_)) | None => String::new(),
    };
    let images: Vec<String> = fields.take("images", "a list of base64 strings")?.unwrap_or_default();
    let system: Option<String> = fields.take("system", "a string")?;
    if prompt.is_empty() && images.is_empty() {
        return Ok(Route::Generate.loaded(&app));
    }
    let system = system.filter(|system| !system.is_empty()).map(|system| Message::system().text(system));
    let conversation = Conversation::new(system.into_iter().chain([options::message("user", prompt, images)]));
    messages::check(&conversation, &app)?;
    Ok(answer(Route::Generate, &app, &model, place, arrival, Request { conversation, params, stream }).await?)
}
