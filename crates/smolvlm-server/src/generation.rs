//! One running request: a worker that drives the model, and the handle that receives its events and cancels it.

use crate::admission::Slot;
use crate::answer::logprobs::TextToken;
use crate::answer::text::{AnswerText, Part};
use crate::answer::usage::{Totals, finish_reason};
use crate::api_error::ApiError;
use crate::backend::{BackendEvent, Outcome};
use crate::request::cost;
use crate::request::params::AnswerParams;
use crate::state::{Model, Shared};
use smolvlm::generate::Error as GenerateError;
use smolvlm::processor::Processor;
use smolvlm::{Cancel, FinishReason, Prompt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Prompts and parameters of a request.
pub(crate) struct Job {
    /// Each has as many answers as the parameters say, with consecutive indices.
    pub(crate) prompts: Vec<Prompt>,
    pub(crate) params: AnswerParams,
    /// Whether the white space at the start of the text is removed.
    pub(crate) trims: bool,
    /// Whether answers start with their prompts, which must not be conversations.
    pub(crate) echoes: bool,
}

/// An event of a request. After [`GenerationEvent::Failed`] and [`GenerationEvent::Done`] there are none.
#[derive(Debug)]
pub(crate) enum GenerationEvent {
    /// The request is valid and fits into the model; its answers follow.
    Started,
    /// New text of an answer, never empty.
    Text {
        index: usize,
        text: String,
        tokens: Vec<TextToken>,
    },
    /// The end of an answer. `finish` is OpenAI's name of the reason.
    Finished {
        index: usize,
        finish: &'static str,
    },
    /// The end of all answers.
    Done(Totals),
    Failed(ApiError),
}

/// A running request. Dropping it cancels the generation.
#[derive(Debug)]
pub(crate) struct Generation {
    // Unbounded, so that a client that does not read cannot block the model; a text is at most as long as the context.
    events: mpsc::UnboundedReceiver<GenerationEvent>,
    cancel: Cancel,
    timer: tokio::task::JoinHandle<()>,
    /// Number of answers.
    answers: usize,
}

impl Generation {
    /// Starts a worker. The slot is free again when the worker ends, which may be after the handle is dropped.
    pub(crate) fn start(app: &Shared, model: &Arc<Model>, job: Job, slot: Slot, arrival: Instant) -> Self {
        let answers = job.prompts.len() * job.params.choices;
        let (sender, events) = mpsc::unbounded_channel();
        let cancel = Cancel::new();
        let worker = Worker { app: Arc::clone(app), model: Arc::clone(model), cancel: cancel.clone(), sender, arrival };
        tokio::task::spawn_blocking(move || {
            worker.run(job);
            drop(slot);
        });
        let (timer_app, timer_cancel) = (Arc::clone(app), cancel.clone());
        let timer = tokio::spawn(async move {
            timer_app.interruption(arrival).await;
            timer_cancel.cancel();
        });
        Self { events, cancel, timer, answers }
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> GenerationEvent {
        self.events
            .recv()
            .await
            .unwrap_or_else(|| GenerationEvent::Failed(ApiError::internal("a worker ended without a result")))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.timer.abort();
    }
}

/// Drives the model on a thread that may block.
struct Worker {
    app: Shared,
    model: Arc<Model>,
    cancel: Cancel,
    sender: mpsc::UnboundedSender<GenerationEvent>,
    arrival: Instant,
}

impl Worker {
    /// Runs a job. A panic fails only this request.
    fn run(&self, job: Job) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.answers(job)));
        let last = match outcome {
            Ok(Ok(totals)) => GenerationEvent::Done(totals),
            Ok(Err(error)) => GenerationEvent::Failed(error),
            Err(_) => GenerationEvent::Failed(ApiError::internal("a worker panicked")),
        };
        if let GenerationEvent::Failed(error) = &last {
            self.app.log_cause(error);
        }
        self.send(last);
    }

    /// Sends an event. If the receiver is gone, the event is dropped: its drop has cancelled the generation.
    fn send(&self, event: GenerationEvent) {
        let _ = self.sender.send(event);
    }

    /// Generates the answers one after the other: images are encoded once.
    fn answers(&self, job: Job) -> Result<Totals, ApiError> {
        let mut totals = Totals::default();
        let Job { prompts, params, trims, echoes } = job;
        // Inline images make a conversation large: the last answer gets it without a copy.
        let choices = prompts.into_iter().flat_map(|prompt| std::iter::repeat_n(prompt, params.choices).enumerate());
        for (index, (choice, prompt)) in choices.enumerate() {
            let mut params = params.clone();
            // Different answers, reproducible by the seed.
            params.sampling.seed = params.sampling.seed.map(|seed| seed.wrapping_add(choice as u64));
            let outcome = self.answer(index, prompt, params, trims, echoes)?;
            totals.add(&outcome, choice == 0);
        }
        Ok(totals)
    }

    fn answer(
        &self,
        index: usize,
        prompt: Prompt,
        params: AnswerParams,
        trims: bool,
        echoes: bool,
    ) -> Result<Outcome, ApiError> {
        if self.cancel.is_cancelled() {
            return Err(self.app.interrupted());
        }
        let processor = self.model.smolvlm.processor();
        let echo = if echoes { echo(processor, &prompt)? } else { String::new() };
        let is_raw = !matches!(prompt, Prompt::Conversation(..));
        let mut answer = AnswerText::new(processor, &params, trims);
        let constrained_by = params.constrained_by;
        let failed = |error| match error {
            smolvlm::Error::Generate(GenerateError::Constraint { message }) => {
                ApiError::param(constrained_by.as_deref().unwrap_or("constraint"), message)
            }
            // Without a constraint, requests can ban tokens by their biases only.
            error @ smolvlm::Error::Generate(GenerateError::NoToken { .. }) => {
                ApiError::from(error).at(constrained_by.as_deref().unwrap_or("logit_bias"))
            }
            error => error.into(),
        };
        let events = self.model.backend.start(prompt, params.sampling, &self.cancel).map_err(|error| match error {
            smolvlm::Error::Cancelled => self.app.interrupted(),
            error @ smolvlm::Error::Generate(GenerateError::Constraint { .. } | GenerateError::NoToken { .. }) => {
                failed(error)
            }
            error if is_raw => ApiError::from(error).of_prompt(),
            error => error.into(),
        })?;
        if index == 0 {
            self.send(GenerationEvent::Started);
        }
        let send = |(text, tokens): Part| {
            if !text.is_empty() {
                self.send(GenerationEvent::Text { index, text, tokens });
            }
        };
        send((echo, Vec::new()));
        let mut is_first = index == 0;
        for event in events {
            match event.map_err(failed)? {
                BackendEvent::Token(id, logprobs) => answer.push_token(id, &logprobs),
                BackendEvent::Text(text) => {
                    if std::mem::take(&mut is_first) {
                        self.app.metrics.first_token.record(self.arrival.elapsed().as_secs_f64());
                    }
                    send(answer.push(&text));
                }
                BackendEvent::Finished(outcome) => {
                    answer.finish().into_iter().for_each(send);
                    self.finish(index, &outcome)?;
                    return Ok(*outcome);
                }
            }
        }
        Err(ApiError::internal("the model ended without a result"))
    }

    /// Ends an answer.
    fn finish(&self, index: usize, outcome: &Outcome) -> Result<(), ApiError> {
        if outcome.finish_reason == FinishReason::Cancelled && outcome.tokens == 0 {
            return Err(self.app.interrupted());
        }
        let finish = finish_reason(outcome.finish_reason);
        // Requests whose client has gone are not counted as successes.
        if outcome.finish_reason != FinishReason::Cancelled {
            self.app.metrics.record(outcome, finish);
            self.app.prompt_speed.record(outcome);
        }
        self.send(GenerationEvent::Finished { index, finish });
        Ok(())
    }
}

/// The text of a prompt.
fn echo(processor: &Processor, prompt: &Prompt) -> Result<String, ApiError> {
    match prompt {
        Prompt::Text(text) => Ok(text.clone()),
        Prompt::Tokens(ids) => Ok(processor.decode(ids, false)?),
        _ => Ok(String::new()),
    }
}

/// Waits for a slot and starts a job, as soon as a place in the queue was taken.
pub(crate) async fn run(
    app: &Shared,
    model: &Arc<Model>,
    place: crate::admission::Place,
    arrival: Instant,
    job: Job,
) -> Result<Generation, ApiError> {
    let tokens = cost::tokens(&job, model);
    let slot = app.slot(place, arrival, tokens).await?;
    let mut generation = Generation::start(app, model, job, slot, arrival);
    match generation.next().await {
        GenerationEvent::Failed(error) => Err(error),
        _ => Ok(generation),
    }
}

/// An answer that is complete.
#[derive(Debug, Default, Clone)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) tokens: Vec<TextToken>,
    pub(crate) finish: &'static str,
}

impl Generation {
    /// Waits for all answers.
    pub(crate) async fn complete(mut self) -> Result<(Vec<Choice>, Totals), ApiError> {
        let mut answers = vec![Choice::default(); self.answers];
        loop {
            match self.next().await {
                GenerationEvent::Started => {}
                GenerationEvent::Text { index, text, tokens } => {
                    if let Some(answer) = answers.get_mut(index) {
                        answer.text.push_str(&text);
                        answer.tokens.extend(tokens);
                    }
                }
                GenerationEvent::Finished { index, finish } => {
                    if let Some(answer) = answers.get_mut(index) {
                        answer.finish = finish;
                    }
                }
                GenerationEvent::Done(totals) => return Ok((answers, totals)),
                GenerationEvent::Failed(error) => return Err(error),
            }
        }
    }
}
