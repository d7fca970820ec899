//! Conversations that go on.

use crate::run::{Prefix, Run};
use crate::stream::next_event;
use crate::{Cancel, Error, Event, Generation, SmolVlm};
use burn::tensor::Tensor;
use smolvlm_generate::SamplingParams;
use smolvlm_model::KvCache;
use smolvlm_processor::{Batch, Content, Conversation, MediaPlan, Message};
use std::time::Instant;

/// A conversation of several turns. What the model has read stays in memory: a new turn costs its own images and tokens
/// only. Answers are those that the whole conversation would get anew.
pub struct Chat<'m> {
    owner: &'m SmolVlm,
    history: Conversation,
    /// The history as the processor takes it: media that were processed have no pixels any more.
    known: Conversation,
    /// Features of those media, in the order of the prompt.
    features: Vec<Tensor<2>>,
    /// Keys and values of earlier turns, and the tokens that they belong to.
    cache: Option<(KvCache, Vec<u32>)>,
    reuses_cache: bool,
}

impl<'m> Chat<'m> {
    pub(crate) fn new(owner: &'m SmolVlm, history: Conversation) -> Self {
        Self { owner, known: history.clone(), history, features: Vec::new(), cache: None, reuses_cache: true }
    }

    /// Whether later turns reuse what earlier ones computed. On unless it is turned off; answers are the same.
    #[must_use]
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.reuses_cache = reuse;
        self
    }

    /// All messages so far, answers included.
    pub fn history(&self) -> &Conversation {
        &self.history
    }

    /// Adds a message without asking for an answer, such as one of the system.
    pub fn push(&mut self, message: Message) {
        self.history.messages.push(message.clone());
        self.known.messages.push(message);
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::new(self.owner, Conversation::default()).reuse(self.reuses_cache);
    }

    /// Answers a message; both join the history.
    ///
    /// # Errors
    ///
    /// As [`SmolVlm::generate`]; the history is then as before.
    pub fn send(&mut self, message: Message, params: &SamplingParams) -> Result<Generation, Error> {
        let mut stream = self.stream(message, params)?;
        loop {
            match stream.next() {
                Some(Ok(Event::Finished(generation))) => return Ok(generation),
                Some(Ok(Event::Text(_))) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(Error::Cancelled),
            }
        }
    }

    /// Answers a message piece by piece. Message and answer join the history when the stream has finished; a stream that is
    /// dropped before leaves it as it was.
    ///
    /// # Errors
    ///
    /// As [`SmolVlm::stream`].
    pub fn stream(&mut self, message: Message, params: &SamplingParams) -> Result<ChatStream<'_, 'm>, Error> {
        let params = self.owner.completed(params)?;
        if params.num_beams > 1 || params.num_return_sequences > 1 {
            return Err(Error::OneAnswer);
        }
        let mut asked = self.known.clone();
        asked.messages.push(message.clone());
        let clock = Instant::now();
        let batch = self.owner.process(std::slice::from_ref(&asked), &params)?;
        let plans = plans(&batch);
        let prefix = self.prefix(&batch);
        let cancel = Cancel::new();
        let run = Run::of_batch(self.owner, batch, prefix, params, cancel.clone(), clock.elapsed())?;
        Ok(ChatStream { chat: self, message: Some(message), plans, run: Some(run), cancel })
    }

    /// What of the cache belongs to the prompt: all tokens up to the first that differs. One is left to be run, since its
    /// logits are needed.
    fn prefix(&mut self, batch: &Batch) -> Prefix {
        let features = self.features.clone();
        let Some((cache, ids)) = self.cache.take().filter(|_| self.reuses_cache) else {
            return Prefix { features, ..Prefix::default() };
        };
        let same = ids.iter().zip(&batch.input_ids).take_while(|(seen, id)| seen == id).count();
        let tokens = same.min(batch.len.saturating_sub(1));
        Prefix { cache: (tokens > 0).then_some(cache), tokens, features }
    }
}

fn plans(batch: &Batch) -> Vec<MediaPlan> {
    batch.all_media().map(smolvlm_processor::Media::plan).collect()
}

/// A message in which media that have been processed are known.
fn with_known(message: &Message, plans: &mut dyn Iterator<Item = MediaPlan>) -> Message {
    let mut known = message.clone();
    for content in &mut known.content {
        if matches!(content, Content::Image(_) | Content::Video(_))
            && let Some(plan) = plans.next()
        {
            *content = Content::Known(plan);
        }
    }
    known
}

/// The answer to a message of a [`Chat`] while it is made: an iterator of events, like [`Stream`](crate::Stream).
pub struct ChatStream<'c, 'm> {
    chat: &'c mut Chat<'m>,
    message: Option<Message>,
    plans: Vec<MediaPlan>,
    run: Option<Run<'m>>,
    cancel: Cancel,
}

impl ChatStream<'_, '_> {
    /// Ends the answer from elsewhere: it finishes with what it has, for the reason
    /// [`Cancelled`](crate::FinishReason::Cancelled), and joins the history so.
    pub fn cancel_handle(&self) -> Cancel {
        self.cancel.clone()
    }
}

impl Iterator for ChatStream<'_, '_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut run = self.run.take()?;
        match next_event(self.chat.owner, &mut run) {
            Err(error) => Some(Err(error)),
            Ok(Some(text)) => {
                self.run = Some(run);
                Some(Ok(Event::Text(text)))
            }
            Ok(None) => {
                self.remember(&mut run);
                let generation = run.into_generations().pop()?;
                let answer = Message::assistant().text(generation.text());
                self.chat.push(answer);
                Some(Ok(Event::Finished(generation)))
            }
        }
    }
}

impl ChatStream<'_, '_> {
    /// Keeps what the next turn can use.
    fn remember(&mut self, run: &mut Run<'_>) {
        let Some(message) = self.message.take() else { return };
        let chat = &mut *self.chat;
        // A run that was cancelled before it had its features has nothing to keep.
        if run.features.len() == self.plans.len() && chat.reuses_cache {
            chat.features.clone_from(&run.features);
            let mut plans = std::mem::take(&mut self.plans).into_iter();
            let all = chat.known.messages.iter().chain([&message]);
            // Media that are known already keep their place among the plans.
            let mut known = Vec::with_capacity(chat.known.messages.len() + 1);
            for message in all {
                let seen = message.content.iter().filter(|content| matches!(content, Content::Known(_))).count();
                plans.by_ref().take(seen).for_each(drop);
                known.push(with_known(message, &mut plans));
            }
            chat.known.messages = known;
            chat.cache = run.take_cache();
        } else {
            chat.known.messages.push(message.clone());
        }
        chat.history.messages.push(message);
    }
}
