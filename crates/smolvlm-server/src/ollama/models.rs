//! `GET /api/tags`, `GET /api/ps`, `GET /api/version` and `POST /api/show`.

use crate::api_error::ApiError;
use crate::ollama::OllamaError;
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use crate::state::{Model, Shared};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) async fn tags(State(app): State<Shared>) -> Result<Json<Value>, OllamaError> {
    let model = app.ready()?;
    Ok(Json(json!({"models": [describe(&app.config.model_name, &model)]})))
}

/// The models in memory: the only one.
pub(crate) async fn running(State(app): State<Shared>) -> Result<Json<Value>, OllamaError> {
    let model = app.ready()?;
    let mut running = describe(&app.config.model_name, &model);
    running["context_length"] = json!(model.context());
    running["expires_at"] = json!("9999-12-31T23:59:59Z");
    Ok(Json(json!({"models": [running]})))
}

pub(crate) async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

pub(crate) async fn show(admitted: Result<Admitted, ApiError>) -> Result<Json<Value>, OllamaError> {
    let Admitted { model, body, .. } = admitted?;
    // Any name is the only model.
    Fields::parse(&body)?;
    let processor = model.smolvlm.processor();
    let config = model.smolvlm.config();
    let capabilities: &[&str] = if model.smolvlm.is_text_only() { &["completion"] } else { &["completion", "vision"] };
    Ok(Json(json!({
        "modelfile": "",
        "parameters": "",
        "template": processor.template().map_or("", |template| template.source()),
        "details": details(&model),
        "modified_at": loaded_at(&model),
        "capabilities": capabilities,
        "model_info": {
            "general.architecture": "smolvlm",
            "general.parameter_count": config.parameter_count(),
            "smolvlm.context_length": model.context(),
            "smolvlm.embedding_length": config.text.hidden_size,
            "smolvlm.block_count": config.text.num_hidden_layers,
        },
    })))
}

fn describe(name: &str, model: &Model) -> Value {
    let digest = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!({
        "name": name,
        "model": name,
        "modified_at": loaded_at(model),
        "size": model.smolvlm.weight_bytes(),
        "digest": digest,
        "details": details(model),
    })
}

fn details(model: &Model) -> Value {
    let parameters = model.smolvlm.config().parameter_count() as f64 / 1e6;
    json!({
        "parent_model": "",
        "format": if model.smolvlm.is_gguf() { "gguf" } else { "safetensors" },
        "family": "smolvlm",
        "families": ["smolvlm"],
        "parameter_size": format!("{parameters:.1}M"),
        "quantization_level": model.smolvlm.format().to_string().to_uppercase(),
    })
}

fn loaded_at(model: &Model) -> String {
    let time = i64::try_from(model.created).ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    time.unwrap_or_default().to_rfc3339()
}
