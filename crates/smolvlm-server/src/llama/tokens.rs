//! `POST /tokenize` and `POST /detokenize`.

use crate::answer::logprobs::Pieces;
use crate::api_error::ApiError;
use crate::llama::blocking;
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use axum::Json;
use serde_json::{Value, json};
use smolvlm::processor::Error as ProcessorError;

/// Tokens of `content`, or of `prompt` as in vLLM.
pub(crate) async fn tokenize(admitted: Admitted) -> Result<Json<Value>, ApiError> {
    let Admitted { model, body, place, .. } = admitted;
    let mut fields = Fields::parse(&body)?;
    let prompt: Option<String> = fields.take("prompt", "a string")?;
    let content: String = match prompt {
        Some(prompt) => prompt,
        None => fields.require("content", "a string")?,
    };
    let limit = model.smolvlm.processor().limits().max_prompt_bytes;
    if content.len() > limit {
        return Err(fields.invalid("content", format!("has {} bytes; the limit is {limit}", content.len())));
    }
    let adds_special = fields.flag("add_special")?.or(fields.flag("add_special_tokens")?).unwrap_or(false);
    let with_pieces = fields.flag("with_pieces")?.unwrap_or(false);
    blocking(move || {
        let _place = place;
        let processor = model.smolvlm.processor();
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| ApiError::internal(error.to_string());
        let encoding = processor.tokenizer().encode_fast(content, adds_special).map_err(failed)?;
        let ids = encoding.get_ids();
        let tokens = if with_pieces {
            let pieces = Pieces::new(processor);
            let piece = |&id: &u32| {
                let bytes = pieces.piece(id).bytes;
                // Parts of characters are lists of bytes, as in llama.cpp.
                let piece = String::from_utf8(bytes).map_or_else(|error| json!(error.into_bytes()), |text| json!(text));
                json!({"id": id, "piece": piece})
            };
            ids.iter().map(piece).collect()
        } else {
            json!(ids)
        };
        Ok(Json(json!({"tokens": tokens, "count": ids.len(), "max_model_len": model.context()})))
    })
    .await
}

/// Text of `tokens`.
pub(crate) async fn detokenize(admitted: Admitted) -> Result<Json<Value>, ApiError> {
    let Admitted { model, body, place, .. } = admitted;
    let mut fields = Fields::parse(&body)?;
    let tokens: Vec<u32> = fields.require("tokens", "a list of token ids")?;
    let unknown = tokens.iter().find(|&&token| token as usize >= model.vocabulary());
    if let Some(token) = unknown {
        return Err(fields.invalid("tokens", format!("has {token}; the model has {} tokens", model.vocabulary())));
    }
    blocking(move || {
        let _place = place;
        let content = model.smolvlm.processor().decode(&tokens, false).map_err(internal)?;
        Ok(Json(json!({"content": content, "prompt": content})))
    })
    .await
}

fn internal(error: ProcessorError) -> ApiError {
    ApiError::internal(error.to_string())
}
