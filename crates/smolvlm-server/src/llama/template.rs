//! `POST /apply-template`, and `POST /chat/completions/input_tokens`: the prompt of a request and its size, without an
//! answer.

use crate::api_error::ApiError;
use crate::llama::blocking;
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use crate::request::prompt;
use crate::state::Shared;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// The prompt of messages. Each image and video is one placeholder.
pub(crate) async fn apply(State(app): State<Shared>, admitted: Admitted) -> Result<Json<Value>, ApiError> {
    let Admitted { model, body, place, .. } = admitted;
    let (conversation, options) = prompt::chat(&mut Fields::parse(&body)?, &app)?;
    blocking(move || {
        let _place = place;
        let prompt = model.smolvlm.processor().render(&conversation, &options)?;
        Ok(Json(json!({"prompt": prompt})))
    })
    .await
}

/// The number of tokens and tiles of messages, from the headers of their images, and the estimated time to the first
/// token, from the speed of earlier requests.
pub(crate) async fn input_tokens(State(app): State<Shared>, admitted: Admitted) -> Result<Json<Value>, ApiError> {
    let Admitted { model, body, place, .. } = admitted;
    let (conversation, options) = prompt::chat(&mut Fields::parse(&body)?, &app)?;
    blocking(move || {
        let _place = place;
        let estimate = model.smolvlm.processor().estimate(&conversation, &options)?;
        Ok(Json(json!({
            "object": "response.input_tokens",
            "input_tokens": estimate.prompt_tokens,
            "image_tokens": estimate.image_tokens,
            "seconds": app.prompt_speed.seconds(estimate.prompt_tokens, estimate.tiles > 0),
            "tiles": estimate.tiles,
            "tiles_per_medium": estimate.media.iter().map(|medium| medium.tiles()).collect::<Vec<_>>(),
        })))
    })
    .await
}
