//! `POST /v1/chat/completions`.

use crate::answer::logprobs::{Piece, TextToken};
use crate::api_error::ApiError;
use crate::generation::{self, Choice, Job};
use crate::openai::Delivery;
use crate::openai::chat_stream::ChatChunks;
use crate::openai::envelope::Envelope;
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use crate::request::params::{AnswerParams, reject_unsupported};
use crate::request::{number, prompt};
use crate::state::{App, Model, Shared};
use crate::stream;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use smolvlm::Prompt;

/// Prefix of the ids of responses.
const ID: &str = "chatcmpl";

/// A chat request.
struct ChatRequest {
    job: Job,
    delivery: Delivery,
}

pub(crate) async fn create(State(app): State<Shared>, admitted: Admitted) -> Result<Response, ApiError> {
    let Admitted { model, body, place, arrival } = admitted;
    let ChatRequest { job, delivery } = ChatRequest::parse(&body, &app, &model)?;
    drop(body);
    let has_logprobs = job.params.sampling.logprobs.is_some();
    let generation = generation::run(&app, &model, place, arrival, job).await?;
    if delivery.stream {
        let envelope = Envelope::new(&app, ID, "chat.completion.chunk", delivery.include_usage);
        return Ok(stream::sse(generation, ChatChunks::new(envelope, has_logprobs), app.config.ping));
    }
    let (choices, totals) = generation.complete().await?;
    let choice = |(index, choice): (usize, Choice)| {
        json!({
            "index": index,
            "message": {"role": "assistant", "content": choice.text, "refusal": null},
            "logprobs": has_logprobs.then(|| logprobs(&choice.tokens)),
            "finish_reason": choice.finish,
        })
    };
    let envelope = Envelope::new(&app, ID, "chat.completion", false);
    Ok(Json(envelope.response(choices.into_iter().enumerate().map(choice).collect(), &totals)).into_response())
}

impl ChatRequest {
    fn parse(body: &[u8], app: &App, model: &Model) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        reject_unsupported(&mut fields)?;
        let mut params = AnswerParams::parse(&mut fields, app, model)?;
        let top = fields.integer(&number::TOP_LOGPROBS)?;
        params.sampling.logprobs = match fields.flag("logprobs")? {
            Some(true) => Some(top.unwrap_or(0)),
            _ if top.is_some_and(|top| top > 0) => {
                return Err(ApiError::param("top_logprobs", "needs logprobs to be true"));
            }
            _ => None,
        };
        let delivery = Delivery::parse(&mut fields)?;
        let (conversation, options) = prompt::chat(&mut fields, app)?;
        // A continued message keeps its leading space, which is part of the text.
        let trims = !options.continue_final_message;
        let prompts = vec![Prompt::Conversation(conversation, options)];
        Ok(Self { job: Job { prompts, params, trims, echoes: false }, delivery })
    }
}

/// OpenAI's `logprobs` of a choice.
pub(crate) fn logprobs(tokens: &[TextToken]) -> Value {
    let entry = |piece: &Piece, logprob: f32| {
        let (id, token, bytes) = (piece.id, piece.text(), &piece.bytes);
        json!({"id": id, "token": token, "bytes": bytes, "logprob": finite(logprob)})
    };
    let content = tokens.iter().map(|token| {
        let mut object = entry(&token.piece, token.logprob);
        object["top_logprobs"] = token.top.iter().map(|(piece, logprob)| entry(piece, *logprob)).collect();
        object
    });
    json!({"content": content.collect::<Vec<_>>(), "refusal": null})
}

/// Replaces minus infinity, which JSON cannot represent, by -9999 as OpenAI does.
pub(crate) fn finite(logprob: f32) -> f32 {
    const MIN_LOGPROB: f32 = -9999.0;
    if logprob.is_finite() { logprob } else { MIN_LOGPROB }
}
