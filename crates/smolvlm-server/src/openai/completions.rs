//! `POST /v1/completions`. Checkpoints are trained for chats only, so the prompt is sent as a message of the user.

use crate::answer::logprobs::TextToken;
use crate::error::ApiError;
use crate::generation::{self, Event, Job};
use crate::openai::Head;
use crate::openai::chat::finite;
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use crate::request::number;
use crate::request::params::{AnswerParams, reject_unsupported};
use crate::state::{App, Model, Shared};
use crate::stream::{self, Chunks};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use smolvlm::Message;

/// A text, or a list with one text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    List([String; 1]),
}

struct CompletionRequest {
    prompt: String,
    params: AnswerParams,
    stream: bool,
    include_usage: bool,
}

pub(crate) async fn create(State(app): State<Shared>, admitted: Admitted) -> Result<Response, ApiError> {
    let Admitted { model, body, place, arrival } = admitted;
    let request = CompletionRequest::parse(&body, &app, &model)?;
    let head = Head::new(&app, "cmpl");
    let (choices, has_logprobs) = (request.params.choices, request.params.sampling.logprobs.is_some());
    let conversation = Message::user().text(request.prompt).into();
    let job = Job { conversation, params: request.params, trims: true };
    let generation = generation::run(&app, &model, place, arrival, job).await?;
    if request.stream {
        let chunks = CompletionChunks { head, include_usage: request.include_usage, has_logprobs };
        return Ok(stream::sse(generation, chunks, app.config.ping));
    }
    let (choices, totals) = generation.complete(choices).await?;
    let choices = choices.iter().enumerate().map(|(index, answer)| {
        let logprobs = has_logprobs.then(|| logprobs(&answer.tokens));
        choice(index, &answer.text, logprobs, Some(answer.finish))
    });
    let mut response = head.object("text_completion", choices.collect());
    response["usage"] = totals.usage();
    response["timings"] = totals.timings();
    Ok(Json(response).into_response())
}

impl CompletionRequest {
    fn parse(body: &[u8], app: &App, model: &Model) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        reject_unsupported(&mut fields)?;
        for name in ["suffix", "best_of"] {
            let value: Option<Value> = fields.take(name, "absent")?;
            if value.is_some_and(|value| value != "" && value != 1) {
                return Err(ApiError::unsupported(name, "is not supported"));
            }
        }
        let mut params = AnswerParams::parse(&mut fields, app, model)?;
        params.sampling.logprobs = fields.integer(&number::LOGPROBS)?;
        let stream = fields.flag("stream")?.unwrap_or(false);
        let include_usage = fields.object("stream_options", "stream_options.")?.flag("include_usage")?.unwrap_or(false);
        let prompt = match fields.require("prompt", "a string, or a list with one string")? {
            Prompt::Text(text) | Prompt::List([text]) => text,
        };
        Ok(Self { prompt, params, stream, include_usage })
    }
}

fn choice(index: usize, text: &str, logprobs: Option<Value>, finish: Option<&str>) -> Value {
    json!({"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish})
}

/// The older form of log-probabilities.
fn logprobs(tokens: &[TextToken]) -> Value {
    let texts: Vec<String> = tokens.iter().map(|token| token.piece.text()).collect();
    let offsets = texts.iter().scan(0, |offset, text| {
        let start = *offset;
        *offset += text.chars().count();
        Some(start)
    });
    let top = |token: &TextToken| -> Map<String, Value> {
        token.top.iter().map(|(piece, logprob)| (piece.text(), json!(finite(*logprob)))).collect()
    };
    json!({
        "text_offset": offsets.collect::<Vec<_>>(),
        "token_logprobs": tokens.iter().map(|token| finite(token.logprob)).collect::<Vec<_>>(),
        "top_logprobs": tokens.iter().map(top).collect::<Vec<_>>(),
        "tokens": texts,
    })
}

/// Converts events to chunks.
struct CompletionChunks {
    head: Head,
    include_usage: bool,
    has_logprobs: bool,
}

impl CompletionChunks {
    fn chunk(&self, choices: Value) -> Value {
        let mut chunk = self.head.object("text_completion", choices);
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

impl Chunks for CompletionChunks {
    fn chunks(&mut self, event: Event) -> Vec<String> {
        match event {
            Event::Started => Vec::new(),
            Event::Text { index, text, tokens } => {
                let logprobs = self.has_logprobs.then(|| logprobs(&tokens));
                vec![self.chunk(json!([choice(index, &text, logprobs, None)])).to_string()]
            }
            Event::Finished { index, finish } => {
                vec![self.chunk(json!([choice(index, "", None, Some(finish))])).to_string()]
            }
            Event::Done(totals) => {
                let mut chunks = Vec::new();
                if self.include_usage {
                    let mut last = self.chunk(json!([]));
                    last["usage"] = totals.usage();
                    chunks.push(last.to_string());
                }
                chunks.push("[DONE]".to_owned());
                chunks
            }
            Event::Failed(error) => vec![error.body().to_string()],
        }
    }
}
