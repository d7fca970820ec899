//! `POST /api/chat`.

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
use smolvlm::{Conversation, Prompt};

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
    Ok(answer(Endpoint::Chat, &app, admitted?, parse).await?)
}

fn parse(fields: &mut Fields<'_>, app: &App) -> Result<Option<Prompt>, ApiError> {
    let legal = "a list of messages with role, content and images";
    let messages: Vec<ChatMessage> = fields.take("messages", legal)?.unwrap_or_default();
    if messages.is_empty() {
        return Ok(None);
    }
    let mut conversation = Conversation::default();
    for (index, message) in messages.into_iter().enumerate() {
        messages::check_role(index, &message.role)?;
        let images = message.images.unwrap_or_default();
        conversation.messages.push(options::message(&message.role, message.content, images));
    }
    messages::check(&conversation, app)?;
    Ok(Some(conversation.into()))
}
