//! The only contact with the model's generation: a request goes in, events come out.

use smolvlm::{
    Cancel, Error, Event as ModelEvent, FinishReason, Prompt, SamplingParams, SmolVlm, Timings, TokenLogprobs,
};

/// Generates one text at a time per call; calls may run concurrently.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Preprocesses a prompt and starts its answer. Blocks the thread.
    fn start(&self, prompt: Prompt, params: SamplingParams) -> Result<Running, Error>;
}

/// A running generation. Dropping it ends it.
pub(crate) struct Running {
    /// Each call of `next` blocks until there is new text.
    pub(crate) events: Box<dyn Iterator<Item = Result<Event, Error>>>,
    /// Ends the generation from another thread with the text so far.
    pub(crate) cancel: Cancel,
}

/// An event of a generation.
pub(crate) enum Event {
    /// A new token, if log-probabilities are requested. The text that it completes follows.
    Token(u32, TokenLogprobs),
    /// New text, never an incomplete character.
    Text(String),
    /// The end.
    Finished(Box<Outcome>),
}

/// What is known about an answer at its end.
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
    fn start(&self, prompt: Prompt, params: SamplingParams) -> Result<Running, Error> {
        let stream = self.stream(prompt, params)?;
        let cancel = stream.cancel_handle();
        let events = stream.filter_map(|event| match event {
            Ok(ModelEvent::Token { id, logprobs }) => Some(Ok(Event::Token(id, logprobs))),
            Ok(ModelEvent::Text(text)) => Some(Ok(Event::Text(text))),
            Ok(ModelEvent::Finished(generation)) => Some(Ok(Event::Finished(Box::new(Outcome {
                tokens: generation.token_ids.len(),
                finish_reason: generation.finish_reason,
                prompt_tokens: generation.prompt_tokens,
                cached_tokens: generation.cached_tokens,
                image_tokens: generation.image_tokens,
                timings: generation.timings,
            })))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        Ok(Running { events: Box::new(events), cancel })
    }
}
