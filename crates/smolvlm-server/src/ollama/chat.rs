//! `POST /api/chat`.

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
use smolvlm::Conversation;

#[derive(Deserialize)]
struct ChatMessage {
    role: String,
    #[serde(default)]
    content: String,
    images: Option<Vec<String>>,
}

pub(crate) async fn create(
    State(app): State<Shared>,
    admitted: Result<Admitted, ApiError>,
) -> Result<Response, OllamaError> {
    let Admitted { model, body, place, arrival } = admitted?;
    let mut fields = Fields::parse(&body)?;
    let (params, stream) = options::parse(&mut fields, &app, &model)?;
    let legal = "a list of messages with role, content and images";
    let messages: Vec<ChatMessage> = fields.take("messages", legal)?.unwrap_or_default();
    if messages.is_empty() {
        return Ok(Route::Chat.loaded(&app));
    }
    let mut conversation = Conversation::default();
    for (index, message) in messages.into_iter().enumerate() {
        if !messages::ROLES.contains(&message.role.as_str()) {
            let param = format!("messages[{index}].role");
            return Err(ApiError::param(&param, format!("must be one of {}", messages::ROLES.join(", "))).into());
        }
        let images = message.images.unwrap_or_default();
        conversation.messages.push(options::message(&message.role, message.content, images));
    }
    messages::check(&conversation, &app)?;
    Ok(answer(Route::Chat, &app, &model, place, arrival, Request { conversation, params, stream }).await?)
}
