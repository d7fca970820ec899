//! Responses and their parts.

use crate::answer::usage::Totals;
use crate::api_error::ApiError;
use crate::generation::{self, GenerationEvent, Job};
use crate::ollama::{body, head, options};
use crate::request::body::Admitted;
use crate::request::fields::Fields;
use crate::state::{App, Shared};
use crate::stream::{self, ChunkEncoder};
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use smolvlm::Prompt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The route that answers, which names the text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Endpoint {
    Chat,
    Generate,
}

impl Endpoint {
    /// A part of a response.
    fn part(self, app: &Shared, text: &str, done: bool) -> Value {
        let mut part = head(app);
        match self {
            Self::Chat => part["message"] = json!({"role": "assistant", "content": text}),
            Self::Generate => part["response"] = json!(text),
        }
        part["done"] = json!(done);
        part
    }

    /// The last part, with counts, and times in nanoseconds.
    fn last(self, app: &Shared, text: &str, finish: &str, totals: &Totals, arrival: Instant) -> Value {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut part = self.part(app, text, true);
        part["done_reason"] = json!(finish);
        part["total_duration"] = json!(nanoseconds(arrival.elapsed()));
        part["load_duration"] = json!(0);
        part["prompt_eval_count"] = json!(totals.prompt_tokens());
        part["prompt_eval_duration"] = json!(nanoseconds(totals.prompt_time()));
        part["eval_count"] = json!(totals.completion_tokens());
        part["eval_duration"] = json!(nanoseconds(totals.decode_time()));
        part
    }

    /// The response to a request without a question, which asks for the model to be loaded.
    pub(super) fn loaded(self, app: &Shared) -> Response {
        let mut part = self.part(app, "", true);
        part["done_reason"] = json!("load");
        Json(part).into_response()
    }
}

/// Answers a request, whose prompt `parse` takes; none asks for the model to be loaded.
pub(super) async fn answer(
    endpoint: Endpoint,
    app: &Shared,
    admitted: Admitted,
    parse: fn(&mut Fields<'_>, &App) -> Result<Option<Prompt>, ApiError>,
) -> Result<Response, ApiError> {
    let Admitted { model, body, place, arrival } = admitted;
    let (job, stream) = {
        let mut fields = Fields::parse(&body)?;
        let (params, stream) = options::parse(&mut fields, app, &model)?;
        let Some(prompt) = parse(&mut fields, app)? else { return Ok(endpoint.loaded(app)) };
        let trims = matches!(prompt, Prompt::Conversation(..));
        (Job { prompts: vec![prompt], params, trims, echoes: false }, stream)
    };
    drop(body);
    let generation = generation::run(app, &model, place, arrival, job).await?;
    if stream {
        let chunks = Lines { endpoint, app: Arc::clone(app), arrival, finish: "stop" };
        return Ok(stream::json_lines(generation, chunks));
    }
    let (choices, totals) = generation.complete().await?;
    let choice = choices.into_iter().next().unwrap_or_default();
    Ok(Json(endpoint.last(app, &choice.text, choice.finish, &totals, arrival)).into_response())
}

/// Converts events to lines.
struct Lines {
    endpoint: Endpoint,
    app: Shared,
    arrival: Instant,
    finish: &'static str,
}

impl ChunkEncoder for Lines {
    fn encode(&mut self, event: GenerationEvent) -> Vec<String> {
        let line = match event {
            GenerationEvent::Started => return Vec::new(),
            GenerationEvent::Text { text, .. } => self.endpoint.part(&self.app, &text, false),
            GenerationEvent::Finished { finish, .. } => {
                self.finish = finish;
                return Vec::new();
            }
            GenerationEvent::Done(totals) => self.endpoint.last(&self.app, "", self.finish, &totals, self.arrival),
            GenerationEvent::Failed(error) => body(&error),
        };
        vec![line.to_string()]
    }
}
