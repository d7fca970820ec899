//! The API of Ollama.

pub(crate) mod chat;
mod chunks;
pub(crate) mod generate;
pub(crate) mod models;
mod options;

use crate::api_error::ApiError;
use crate::state::App;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error with Ollama's body `{"error": "message"}`.
#[derive(Debug)]
pub(crate) struct OllamaError(ApiError);

impl From<ApiError> for OllamaError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for OllamaError {
    fn into_response(self) -> Response {
        self.0.respond(body(&self.0))
    }
}

fn body(error: &ApiError) -> Value {
    json!({"error": error.message})
}

/// The start of each response and of each part of one.
fn head(app: &App) -> Value {
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    json!({"model": app.config.model_name, "created_at": now})
}
