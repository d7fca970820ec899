//! `POST /v1/completions`: the model continues a text as it is, without the chat template.

use crate::answer::logprobs::TextToken;
use crate::api_error::ApiError;
use crate::generation::{self, GenerationEvent, Job};
use crate::openai::Delivery;
use crate::openai::chat::finite;
use crate::openai::envelope::Envelope;
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use crate::request::params::{AnswerParams, reject_unsupported};
use crate::request::{number, prompt};
use crate::state::{App, Model, Shared};
use crate::stream::{self, ChunkEncoder};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

struct CompletionRequest {
    job: Job,
    delivery: Delivery,
}

pub(crate) async fn create(State(app): State<Shared>, admitted: Admitted) -> Result<Response, ApiError> {
    let Admitted { model, body, place, arrival } = admitted;
    let CompletionRequest { job, delivery } = CompletionRequest::parse(&body, &app, &model)?;
    drop(body);
    let envelope = Envelope::new(&app, "cmpl", "text_completion", delivery.include_usage);
    let has_logprobs = job.params.sampling.logprobs.is_some();
    let generation = generation::run(&app, &model, place, arrival, job).await?;
    if delivery.stream {
        return Ok(stream::sse(generation, CompletionChunks { envelope, has_logprobs, sent: (0, 0) }, app.config.ping));
    }
    let (choices, totals) = generation.complete().await?;
    let choices = choices.iter().enumerate().map(|(index, answer)| {
        let logprobs = has_logprobs.then(|| logprobs(&answer.tokens, 0));
        choice(index, &answer.text, logprobs, Some(answer.finish))
    });
    Ok(Json(envelope.response(choices.collect(), &totals)).into_response())
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
        params.predict(&mut fields, &number::N_PREDICT, model)?;
        params.sampling.logprobs = fields.integer(&number::LOGPROBS)?;
        let delivery = Delivery::parse(&mut fields)?;
        let echoes = fields.flag("echo")?.unwrap_or(false);
        if echoes && params.sampling.logprobs.is_some() {
            return Err(ApiError::unsupported("echo", "cannot be combined with logprobs"));
        }
        let prompts = prompt::raw(&mut fields, model)?;
        let (answers, limit) = (prompts.len().saturating_mul(params.choices), app.config.max_choices.max(1));
        if answers == 0 || answers > limit {
            let problem = format!("asks for {answers} answers; this server allows 1 to {limit} per request");
            return Err(fields.invalid("prompt", problem));
        }
        Ok(Self { job: Job { prompts, params, trims: false, echoes }, delivery })
    }
}

fn choice(index: usize, text: &str, logprobs: Option<Value>, finish: Option<&str>) -> Value {
    json!({"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish})
}

/// The older form of log-probabilities. `start` is the number of characters before the first token.
fn logprobs(tokens: &[TextToken], start: usize) -> Value {
    let texts: Vec<String> = tokens.iter().map(|token| token.piece.text()).collect();
    let offsets = texts.iter().scan(start, |offset, text| {
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
    envelope: Envelope,
    has_logprobs: bool,
    /// The answer that is being sent, and the number of characters that were.
    sent: (usize, usize),
}

impl ChunkEncoder for CompletionChunks {
    fn encode(&mut self, event: GenerationEvent) -> Vec<String> {
        match event {
            GenerationEvent::Started => Vec::new(),
            GenerationEvent::Text { index, text, tokens } => {
                let start = if self.sent.0 == index { self.sent.1 } else { 0 };
                self.sent = (index, start + text.chars().count());
                let logprobs = self.has_logprobs.then(|| logprobs(&tokens, start));
                vec![self.envelope.chunk(json!([choice(index, &text, logprobs, None)]))]
            }
            GenerationEvent::Finished { index, finish } => {
                vec![self.envelope.chunk(json!([choice(index, "", None, Some(finish))]))]
            }
            GenerationEvent::Done(totals) => self.envelope.end(&totals),
            GenerationEvent::Failed(error) => vec![error.body().to_string()],
        }
    }
}
