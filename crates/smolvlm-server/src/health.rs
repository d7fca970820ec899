//! `GET /health`.

use crate::api_error::ApiError;
use crate::state::Shared;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// 200 if requests are accepted, 503 while the model is loading or the server is stopping.
pub(crate) async fn health(State(app): State<Shared>) -> Result<Json<Value>, ApiError> {
    app.ready().map(|_| Json(json!({"status": "ok"})))
}
