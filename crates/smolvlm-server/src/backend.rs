//! Streaming generation: a prompt goes in, events come out. Tests replace it.

use smolvlm::{Cancel, Error, Event, FinishReason, Prompt, SamplingParams, SmolVlm, Timings, TokenLogprobs};

/// Generates one text at a time per call; calls may run concurrently.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Preprocesses a prompt and starts its answer. Blocks the thread. `cancel` ends it from another thread: with an
    /// error before there is an answer, later with the text so far.
    fn start(&self, prompt: Prompt, params: SamplingParams, cancel: &Cancel) -> Result<Events, Error>;
}

/// The events of a running generation. Each call of `next` blocks until there is a new one; dropping them ends the
/// generation.
pub(crate) type Events = Box<dyn Iterator<Item = Result<BackendEvent, Error>>>;

/// An event of a generation.
pub(crate) enum BackendEvent {
    /// A new token, if log-probabilities are requested. The text that it completes follows.
    Token(u32, TokenLogprobs),
    /// New text, never an incomplete character.
    Text(String),
    /// The end.
    Finished(Box<Outcome>),
}

/// Result and usage of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Number of generated tokens.
    pub(crate) tokens: usize,
    pub(crate) finish_reason: FinishReason,
    pub(crate) prompt_tokens: usize,
    /// Prompt tokens that were reused from an earlier request.
    pub(crate) cached_tokens: usize,
    /// Prompt tokens of images and frames.
    pub(crate) image_tokens: usize,
    pub(crate) timings: Timings,
}

impl Backend for SmolVlm {
    fn start(&self, prompt: Prompt, params: SamplingParams, cancel: &Cancel) -> Result<Events, Error> {
        let stream = self.with_cancel(cancel).stream(prompt, params)?;
        Ok(Box::new(stream.filter_map(|event| match event {
            Ok(Event::Token { id, logprobs }) => Some(Ok(BackendEvent::Token(id, logprobs))),
            Ok(Event::Text(text)) => Some(Ok(BackendEvent::Text(text))),
            Ok(Event::Finished(generation)) => Some(Ok(BackendEvent::Finished(Box::new(Outcome {
                tokens: generation.token_ids.len(),
                finish_reason: generation.finish_reason,
                prompt_tokens: generation.prompt_tokens,
                cached_tokens: generation.cached_tokens,
                image_tokens: generation.image_tokens,
                timings: generation.timings,
            })))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })))
    }
}
