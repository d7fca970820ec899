//! The only contact with the model's generation: a request goes in, events come out.

use smolvlm::processor::RenderOptions;
use smolvlm::{
    Cancel, Content, Conversation, Error, Event as ModelEvent, FinishReason, ImageSource, SamplingParams, SmolVlm,
    Timings, TokenLogprobs,
};

/// Generates one text at a time per call; calls may run concurrently.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Preprocesses a conversation and starts its answer. Blocks the thread.
    fn start(&self, conversation: Conversation, params: SamplingParams) -> Result<Running, Error>;
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
    /// New text, never an incomplete character.
    Text(String),
    /// The end.
    Finished(Box<Outcome>),
}

/// What is known about an answer at its end.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) token_ids: Vec<u32>,
    /// One per token, if requested.
    pub(crate) logprobs: Vec<TokenLogprobs>,
    pub(crate) finish_reason: FinishReason,
    pub(crate) prompt_tokens: usize,
    /// Prompt tokens that were reused from an earlier request.
    pub(crate) cached_tokens: usize,
    /// Prompt tokens of images and frames.
    pub(crate) image_tokens: usize,
    pub(crate) timings: Timings,
}

impl Backend for SmolVlm {
    fn start(&self, conversation: Conversation, params: SamplingParams) -> Result<Running, Error> {
        let image_tokens = image_tokens(self, &conversation)?;
        let stream = self.stream(conversation, params)?;
        let cancel = stream.cancel_handle();
        let events = stream.filter_map(move |event| match event {
            Ok(ModelEvent::Text(text)) => Some(Ok(Event::Text(text))),
            Ok(ModelEvent::Finished(generation)) => Some(Ok(Event::Finished(Box::new(Outcome {
                token_ids: generation.token_ids,
                logprobs: generation.logprobs,
                finish_reason: generation.finish_reason,
                prompt_tokens: generation.prompt_tokens,
                cached_tokens: generation.cached_tokens,
                image_tokens,
                timings: generation.timings,
            })))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        Ok(Running { events: Box::new(events), cancel })
    }
}

/// The number of image tokens of a prompt, from the headers of inline images; 0 if media would have to be fetched
/// twice.
fn image_tokens(model: &SmolVlm, conversation: &Conversation) -> Result<usize, Error> {
    let contents = || conversation.messages.iter().flat_map(|message| &message.content);
    let inline = |content: &Content| match content {
        Content::Text(_) | Content::Image(ImageSource::Base64(_)) => true,
        Content::Image(ImageSource::Url(url)) => url.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("data:")),
        _ => false,
    };
    if contents().all(|content| matches!(content, Content::Text(_))) || !contents().all(inline) {
        return Ok(0);
    }
    Ok(model.processor().estimate(conversation, &RenderOptions::answer())?.image_tokens)
}
