//! `GET /v1/models`.

use crate::api_error::ApiError;
use crate::state::{Model, Shared};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

pub(crate) async fn list(State(app): State<Shared>) -> Result<Json<Value>, ApiError> {
    let model = app.ready()?;
    Ok(Json(json!({"object": "list", "data": [describe(&app.config.model_name, &model)]})))
}

pub(crate) async fn get(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let model = app.ready()?;
    if id == app.config.model_name {
        return Ok(Json(describe(&id, &model)));
    }
    Err(ApiError::not_found("there is no such model here; GET /v1/models lists what there is").at("model"))
}

fn describe(name: &str, model: &Model) -> Value {
    let config = model.smolvlm.config();
    let modalities: &[&str] = if model.smolvlm.is_text_only() { &["text"] } else { &["text", "image", "video"] };
    json!({
        "id": name,
        "object": "model",
        "created": model.created,
        "owned_by": "smolvlm",
        "aliases": [],
        "max_model_len": model.context(),
        "architecture": {"input_modalities": modalities, "output_modalities": ["text"]},
        "meta": {
            "n_ctx": model.context(),
            "n_ctx_train": model.context(),
            "n_vocab": model.vocabulary(),
            "n_embd": config.text.hidden_size,
            "n_params": config.parameter_count(),
        },
    })
}
