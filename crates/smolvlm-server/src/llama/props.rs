//! `GET /props`.

use crate::api_error::ApiError;
use crate::state::Shared;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

pub(crate) async fn get(State(app): State<Shared>) -> Result<Json<Value>, ApiError> {
    let model = app.ready()?;
    let processor = model.smolvlm.processor();
    let prompts = &processor.config().default_prompts;
    let special = processor.special_tokens();
    let has_vision = !model.smolvlm.is_text_only();
    Ok(Json(json!({
        "default_generation_settings": {"n_ctx": model.context()},
        "total_slots": app.config.parallel,
        "model_alias": app.config.model_name,
        "modalities": {"vision": has_vision, "audio": false, "video": has_vision},
        "default_prompts": {"image": prompts.image, "images": prompts.images, "video": prompts.video},
        "chat_template": processor.template().map_or("", |template| template.source()),
        "media_marker": special.image(),
        "bos_token": special.get("bos_token"),
        "eos_token": special.get("eos_token"),
        "build_info": concat!("smolvlm ", env!("CARGO_PKG_VERSION")),
    })))
}
