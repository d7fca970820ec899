//! `POST /v1/chat/completions`.

use crate::answer::logprobs::{Piece, TextToken};
use crate::error::ApiError;
use crate::generation::{self, Choice, Generation, Job};
use crate::openai::Head;
use crate::openai::chat_stream::ChatChunks;
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use crate::request::params::{AnswerParams, reject_unsupported};
use crate::request::{messages, number};
use crate::state::{App, Model, Shared};
use crate::stream;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use smolvlm::Conversation;

/// A chat request.
struct ChatRequest {
    conversation: Conversation,
    params: AnswerParams,
    stream: bool,
    include_usage: bool,
}

pub(crate) async fn create(State(app): State<Shared>, admitted: Admitted) -> Result<Response, ApiError> {
    let Admitted { model, body, place, arrival } = admitted;
    let request = ChatRequest::parse(&body, &app, &model)?;
    drop(body);
    let head = Head::new(&app, "chatcmpl");
    let (choices, has_logprobs) = (request.params.choices, request.params.sampling.logprobs.is_some());
    let job = Job { conversation: request.conversation, params: request.params, trims: true };
    let generation = generation::run(&app, &model, place, arrival, job).await?;
    if request.stream {
        let chunks = ChatChunks::new(head, request.include_usage, has_logprobs);
        return Ok(stream::sse(generation, chunks, app.config.ping));
    }
    Ok(Json(complete(generation, &head, choices, has_logprobs).await?).into_response())
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
        let stream = fields.flag("stream")?.unwrap_or(false);
        let mut options = fields.object("stream_options", "stream_options.")?;
        let include_usage = options.flag("include_usage")?.unwrap_or(false);
        let conversation = messages::parse(fields.raw("messages"), app)?;
        Ok(Self { conversation, params, stream, include_usage })
    }
}

async fn complete(generation: Generation, head: &Head, choices: usize, has_logprobs: bool) -> Result<Value, ApiError> {
    let (choices, totals) = generation.complete(choices).await?;
    let choice = |(index, choice): (usize, Choice)| {
        json!({
            "index": index,
            "message": {"role": "assistant", "content": choice.text, "refusal": null},
            "logprobs": has_logprobs.then(|| logprobs(&choice.tokens)),
            "finish_reason": choice.finish,
        })
    };
    let mut response = head.object("chat.completion", choices.into_iter().enumerate().map(choice).collect());
    response["usage"] = totals.usage();
    response["timings"] = totals.timings();
    Ok(response)
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

/// The logarithm of a probability of 0, which JSON has not, is a very small number as in OpenAI's API.
pub(crate) fn finite(logprob: f32) -> f32 {
    const ZERO: f32 = -9999.0;
    if logprob.is_finite() { logprob } else { ZERO }
}
