//! One running request: a worker that drives the model, and the handle that receives its events and cancels it.

use crate::admission::Slot;
use crate::answer::logprobs::{Pieces, TextToken};
use crate::answer::stop_filter::StopFilter;
use crate::answer::usage::{Totals, finish_reason};
use crate::backend::{Event as BackendEvent, Outcome};
use crate::error::ApiError;
use crate::request::params::AnswerParams;
use crate::state::{Model, Shared};
use smolvlm::{Cancel, Conversation, FinishReason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What to generate.
pub(crate) struct Job {
    pub(crate) conversation: Conversation,
    pub(crate) params: AnswerParams,
    /// Whether the white space at the start of the text is removed.
    pub(crate) trims: bool,
}

/// An event of a request. After [`Event::Failed`] and [`Event::Done`] there are none.
#[derive(Debug)]
pub(crate) enum Event {
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
    events: mpsc::UnboundedReceiver<Event>,
    cancellation: Arc<Cancellation>,
    timer: tokio::task::JoinHandle<()>,
}

/// Cancels whichever generation of a request runs.
#[derive(Debug, Default)]
struct Cancellation {
    cancelled: AtomicBool,
    running: Mutex<Option<Cancel>>,
}

impl Cancellation {
    fn cancel(&self) {
        // Under the lock, so that a generation that starts now sees it.
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(cancel) = &*running {
            cancel.cancel();
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn set_running(&self, cancel: Cancel) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_cancelled() {
            cancel.cancel();
        }
        *running = Some(cancel);
    }
}

impl Generation {
    /// Starts a worker. The slot is free again when the worker ends, which may be after the handle is dropped.
    pub(crate) fn start(app: &Shared, model: &Arc<Model>, job: Job, slot: Slot, arrival: Instant) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let cancellation = Arc::new(Cancellation::default());
        let worker = Worker {
            app: Arc::clone(app),
            model: Arc::clone(model),
            cancellation: Arc::clone(&cancellation),
            sender,
            arrival,
        };
        tokio::task::spawn_blocking(move || {
            worker.run(job);
            drop(slot);
        });
        let (timed, mut abort) = (Arc::clone(&cancellation), app.abort.subscribe());
        let deadline = arrival + app.config.request_timeout;
        let timer = tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {}
                _ = abort.wait_for(|&abort| abort) => {}
            }
            timed.cancel();
        });
        Self { events, cancellation, timer }
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Event {
        self.events.recv().await.unwrap_or_else(|| Event::Failed(ApiError::internal("a worker ended without a result")))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancellation.cancel();
        self.timer.abort();
    }
}

/// Drives the model on a thread that may block.
struct Worker {
    app: Shared,
    model: Arc<Model>,
    cancellation: Arc<Cancellation>,
    sender: mpsc::UnboundedSender<Event>,
    arrival: Instant,
}

impl Worker {
    /// Runs a job. A panic fails only this request.
    fn run(&self, job: Job) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.answers(job)));
        let last = match outcome {
            Ok(Ok(totals)) => Event::Done(totals),
            Ok(Err(error)) => Event::Failed(error),
            Err(_) => Event::Failed(ApiError::internal("a worker panicked")),
        };
        if let Event::Failed(ApiError { cause: Some(cause), .. }) = &last {
            self.app.config.log.line(cause);
        }
        self.send(last);
    }

    /// Sends an event. If the receiver is gone, the event is dropped: its drop has cancelled the generation.
    fn send(&self, event: Event) {
        let _ = self.sender.send(event);
    }

    /// Generates the answers one after the other: images are encoded once.
    fn answers(&self, job: Job) -> Result<Totals, ApiError> {
        let mut totals = Totals::default();
        let Job { conversation, params, trims } = job;
        // Inline images make a conversation large: the last answer gets it without a copy.
        let conversations = std::iter::repeat_n(conversation, params.choices);
        for (index, conversation) in conversations.enumerate() {
            let mut params = params.clone();
            // Different answers, reproducible by the seed.
            params.sampling.seed = params.sampling.seed.map(|seed| seed.wrapping_add(index as u64));
            let outcome = self.answer(index, conversation, params, trims)?;
            totals.add(&outcome);
        }
        Ok(totals)
    }

    fn answer(
        &self,
        index: usize,
        conversation: Conversation,
        params: AnswerParams,
        trims: bool,
    ) -> Result<Outcome, ApiError> {
        if self.cancellation.is_cancelled() {
            return Err(ApiError::timed_out());
        }
        let mut filter = StopFilter::new(params.stop, trims);
        let skip_special = params.sampling.skip_special_tokens;
        // Log-probabilities are known at the end, so text with them is sent as a whole.
        let mut whole = params.sampling.logprobs.is_some().then(String::new);
        let mut is_first = index == 0;
        let running = self.model.backend.start(conversation, params.sampling)?;
        self.cancellation.set_running(running.cancel);
        if index == 0 {
            self.send(Event::Started);
        }
        let mut emit = |text: String| {
            if std::mem::take(&mut is_first) {
                self.app.metrics.first_token.record(self.arrival.elapsed().as_secs_f64());
            }
            match &mut whole {
                _ if text.is_empty() => {}
                Some(whole) => whole.push_str(&text),
                None => self.send(Event::Text { index, text, tokens: Vec::new() }),
            }
        };
        for event in running.events {
            match event? {
                BackendEvent::Text(text) => emit(filter.push(&text)),
                BackendEvent::Finished(outcome) => {
                    emit(filter.finish());
                    self.finish(index, &outcome, whole, skip_special)?;
                    return Ok(*outcome);
                }
            }
        }
        Err(ApiError::internal("the model ended without a result"))
    }

    /// Sends the rest of an answer.
    fn finish(
        &self,
        index: usize,
        outcome: &Outcome,
        whole: Option<String>,
        skip_special: bool,
    ) -> Result<(), ApiError> {
        if outcome.finish_reason == FinishReason::Cancelled && outcome.token_ids.is_empty() {
            return Err(ApiError::timed_out());
        }
        if let Some(text) = whole.filter(|text| !text.is_empty()) {
            let pieces = Pieces::new(self.model.smolvlm.processor());
            let tokens = pieces.of_text(&outcome.token_ids, &outcome.logprobs, &text, skip_special);
            self.send(Event::Text { index, text, tokens });
        }
        let finish = finish_reason(outcome.finish_reason);
        // Requests whose client has gone are no success.
        if outcome.finish_reason != FinishReason::Cancelled {
            self.app.metrics.record(outcome, finish);
            self.app.prompt_speed.record(outcome);
        }
        self.send(Event::Finished { index, finish });
        Ok(())
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
    let slot = place.slot(arrival + app.config.request_timeout).await?;
    app.metrics.queue.record(arrival.elapsed().as_secs_f64());
    let mut generation = Generation::start(app, model, job, slot, arrival);
    match generation.next().await {
        Event::Failed(error) => Err(error),
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
    pub(crate) async fn complete(mut self, choices: usize) -> Result<(Vec<Choice>, Totals), ApiError> {
        let mut answers = vec![Choice::default(); choices];
        loop {
            match self.next().await {
                Event::Started => {}
                Event::Text { index, text, tokens } => {
                    if let Some(answer) = answers.get_mut(index) {
                        answer.text.push_str(&text);
                        answer.tokens.extend(tokens);
                    }
                }
                Event::Finished { index, finish } => {
                    if let Some(answer) = answers.get_mut(index) {
                        answer.finish = finish;
                    }
                }
                Event::Done(totals) => return Ok((answers, totals)),
                Event::Failed(error) => return Err(error),
            }
        }
    }
}
