//! Multi-turn conversations.

use crate::engine::Answer;
use crate::features::{MediaFeatures, missing_features};
use crate::media_positions::{MediaPosition, media_positions};
use crate::submit::{Prepared, Prompts, submit_prepared};
use crate::{Cancel, Error, Event, Generation, SmolVlm, Stream};
use smolvlm_generate::SamplingParams;
use smolvlm_processor::{Content, Conversation, Media, MediaPlan, Message, RenderOptions};
use std::collections::BTreeMap;
use std::time::Instant;

/// A multi-turn conversation. Control tokens in messages and answers are treated as plain text
/// ([`Options::sanitize_control_tokens`](crate::Options::sanitize_control_tokens)). Image features are kept, and so are
/// keys and values while there is memory, so that a new turn only costs its own images and tokens. Answers are the same
/// as for the whole conversation without caching.
pub struct Chat {
    model: SmolVlm,
    history: Conversation,
    /// Images and videos of the history in the last prompt, by message and item.
    encoded: BTreeMap<MediaPosition, EncodedMedia>,
    reuses_cache: bool,
}

/// An image or video that has been decoded and encoded.
struct EncodedMedia {
    plan: MediaPlan,
    media: MediaFeatures,
}

impl Chat {
    pub(crate) fn new(model: SmolVlm, history: Conversation) -> Self {
        Self { model, history, encoded: BTreeMap::new(), reuses_cache: true }
    }

    /// Whether later turns reuse the cache of earlier ones. On by default; does not change the answers.
    #[must_use]
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.reuses_cache = reuse;
        if !reuse {
            self.encoded.clear();
        }
        self
    }

    /// Sets the token that stops the turns from now on, as in [`SmolVlm::with_cancel`].
    pub fn set_cancel(&mut self, cancel: Cancel) {
        self.model.cancel = cancel;
    }

    /// All messages so far, including answers.
    pub fn history(&self) -> &Conversation {
        &self.history
    }

    /// Adds a message without generating an answer, such as a system message.
    pub fn push(&mut self, message: Message) {
        self.history.messages.push(message);
    }

    /// Truncates the history to its first `len` messages.
    pub fn rewind(&mut self, len: usize) {
        self.history.messages.truncate(len);
        self.encoded.retain(|&(message, _), _| message < len);
    }

    /// Clears the history and the cache.
    pub fn reset(&mut self) {
        *self = Self::new(self.model.clone(), Conversation::default()).reuse(self.reuses_cache);
    }

    /// Answers a message and adds both to the history.
    ///
    /// # Errors
    ///
    /// As [`SmolVlm::generate`]; the history is then unchanged.
    pub fn send(&mut self, message: Message, params: &SamplingParams) -> Result<Generation, Error> {
        let mut stream = self.stream(message, params)?;
        loop {
            match stream.next() {
                Some(Ok(Event::Finished(generation))) => return Ok(generation),
                Some(Ok(Event::Token { .. } | Event::Text(_))) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(Error::Cancelled),
            }
        }
    }

    /// Answers a message as a stream of text. Message and answer are added to the history when the stream has finished;
    /// if it is dropped earlier, the history is unchanged.
    ///
    /// # Errors
    ///
    /// As [`SmolVlm::stream`].
    pub fn stream(&mut self, message: Message, params: &SamplingParams) -> Result<ChatStream<'_>, Error> {
        let params = self.model.resolve_params(params)?;
        if !params.is_streamable() {
            return Err(Error::SingleAnswerOnly);
        }
        let clock = Instant::now();
        let conversation = self.with_message(message.clone());
        // Text of users and answers must not be parsed as the end of a turn or an image in later turns.
        let options = RenderOptions::answer().sanitized();
        let model = self.model.with_cancel(&self.model.cancel.child());
        let batch = model.process_with(std::slice::from_ref(&conversation), &params, &options)?;
        let positions = media_positions(&conversation, &batch.media[0]);
        let known = batch.all_media().zip(&positions).filter(|(media, _)| matches!(media, Media::Precomputed(_)));
        let known = known.map(|(_, position)| self.encoded.get(position).map(|encoded| encoded.media.clone()));
        let known: Vec<MediaFeatures> = known.collect::<Option<_>>().ok_or_else(missing_features)?;
        let plans = batch.all_media().map(Media::plan).zip(positions).collect();
        let prompts = Prompts { batch, known, sources: Vec::new() };
        let prepared = Prepared { prompts, prepare_time: clock.elapsed(), reuses_cache: self.reuses_cache };
        let mut tickets = submit_prepared(&model, prepared, &params)?;
        let stream = Stream::new(tickets.swap_remove(0), model.cancel);
        Ok(ChatStream { chat: self, message: Some(message), plans, stream })
    }

    /// Keeps the features of the images and videos of a prompt for the next turn.
    fn keep_features(&mut self, plans: Vec<(MediaPlan, MediaPosition)>, features: Vec<Option<MediaFeatures>>) {
        if !self.reuses_cache {
            return;
        }
        let mut earlier = std::mem::take(&mut self.encoded);
        for ((plan, position), media) in plans.into_iter().zip(features) {
            // Tiles were not encoded if the run was cancelled or their tokens were cached.
            let encoded = media.map(|media| EncodedMedia { plan, media }).or_else(|| earlier.remove(&position));
            if let Some(encoded) = encoded {
                self.encoded.insert(position, encoded);
            }
        }
    }

    /// The history and one more message, with images and videos that were encoded before replaced by their plans.
    fn with_message(&self, message: Message) -> Conversation {
        let mut conversation = self.history.clone();
        for (&(message, item), encoded) in &self.encoded {
            if let Some(content) =
                conversation.messages.get_mut(message).and_then(|message| message.content.get_mut(item))
            {
                *content = Content::Precomputed(encoded.plan.clone());
            }
        }
        conversation.messages.push(message);
        conversation
    }
}

/// An iterator over the events of a running generation in a [`Chat`], like [`Stream`](crate::Stream).
pub struct ChatStream<'c> {
    chat: &'c mut Chat,
    message: Option<Message>,
    /// The images and videos of the prompt.
    plans: Vec<(MediaPlan, MediaPosition)>,
    stream: Stream,
}

impl ChatStream<'_> {
    /// A token that stops this generation from elsewhere: it finishes with the text so far and the reason
    /// [`Cancelled`](crate::FinishReason::Cancelled), and is added to the history.
    pub fn cancel_handle(&self) -> Cancel {
        self.stream.cancel_handle()
    }
}

impl Iterator for ChatStream<'_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { chat, message, plans, stream } = self;
        stream.next_event(|Answer { generations, features, .. }| {
            let generation = generations.into_iter().next()?;
            chat.history.messages.extend(message.take());
            chat.push(Message::assistant().text(generation.text()));
            chat.keep_features(std::mem::take(plans), features);
            Some(generation)
        })
    }
}
