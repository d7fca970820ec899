//! Conversations that go on.

use crate::features::{MediaFeatures, missing_features};
use crate::prefix::CachedPrefix;
use crate::run::Run;
use crate::stream::next_event;
use crate::{Cancel, Error, Event, Generation, SmolVlm};
use smolvlm_generate::SamplingParams;
use smolvlm_processor::{Batch, Content, Conversation, Media, MediaPlan, Message, RenderOptions};
use std::collections::BTreeMap;
use std::time::Instant;

/// A conversation of several turns. Control tokens in messages and answers are plain characters
/// ([`Options::sanitize_control_tokens`](crate::Options::sanitize_control_tokens)). What the model has read stays in memory: a new turn costs its own images and tokens
/// only. Answers are those that the whole conversation would get anew.
pub struct Chat<'m> {
    owner: &'m SmolVlm,
    history: Conversation,
    /// Images and videos of the history that the last prompt showed, by message and item.
    seen: BTreeMap<Place, Seen>,
    /// Keys and values of the last prompt and what followed it.
    cached: Option<CachedPrefix>,
    reuses_cache: bool,
}

/// Index of a message and of an item in it.
type Place = (usize, usize);

/// An image or video that needs to be neither decoded nor encoded again.
struct Seen {
    plan: MediaPlan,
    media: MediaFeatures,
}

impl<'m> Chat<'m> {
    pub(crate) fn new(owner: &'m SmolVlm, history: Conversation) -> Self {
        Self { owner, history, seen: BTreeMap::new(), cached: None, reuses_cache: true }
    }

    /// Whether later turns reuse what earlier ones computed. On unless it is turned off; answers are the same.
    #[must_use]
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.reuses_cache = reuse;
        if !reuse {
            self.seen.clear();
            self.cached = None;
        }
        self
    }

    /// All messages so far, answers included.
    pub fn history(&self) -> &Conversation {
        &self.history
    }

    /// Adds a message without asking for an answer, such as one of the system.
    pub fn push(&mut self, message: Message) {
        self.history.messages.push(message);
    }

    /// Forgets all messages but the first `len`, so that others can be said in their place.
    pub fn rewind(&mut self, len: usize) {
        self.history.messages.truncate(len);
        self.seen.retain(|&(message, _), _| message < len);
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
        let clock = Instant::now();
        let asked = self.with(message.clone());
        // What is typed or answered must not pass for a turn's end or an image in the turns that follow.
        let options = RenderOptions::answer().sanitized();
        let owner = self.owner;
        let batch = owner.process_with(std::slice::from_ref(&asked), &params, &options)?;
        let places = places(&asked, &batch);
        let known = batch.all_media().zip(&places).filter(|(media, _)| matches!(media, Media::Precomputed(_)));
        let known = known.map(|(_, place)| self.seen.get(place).map(|seen| seen.media.clone()));
        let known: Vec<MediaFeatures> = known.collect::<Option<_>>().ok_or_else(missing_features)?;
        let plans = batch.all_media().map(Media::plan).zip(places).collect();
        let cancel = Cancel::new();
        let run = Run::of_batch(owner, batch, known, params, cancel.clone(), clock.elapsed())?;
        let run = run.continuing(self.cached.take());
        Ok(ChatStream { chat: self, message: Some(message), plans, run: Some(run), cancel })
    }

    /// The history and one more message, in which media that were seen have no pixels.
    fn with(&self, message: Message) -> Conversation {
        let mut asked = self.history.clone();
        for (&(message, item), seen) in &self.seen {
            if let Some(content) = asked.messages.get_mut(message).and_then(|message| message.content.get_mut(item)) {
                *content = Content::Precomputed(seen.plan.clone());
            }
        }
        asked.messages.push(message);
        asked
    }
}

/// Where each medium of a prompt stands in the conversation, in the order of the prompt. A prompt shows images and videos each
/// in the conversation's order; truncation leaves out the oldest after the system messages at the start.
fn places(asked: &Conversation, batch: &Batch) -> Vec<Place> {
    let first = asked.messages.iter().take_while(|message| message.role == "system").count();
    let (mut images, mut videos) = (Vec::new(), Vec::new());
    for (index, message) in asked.messages.iter().enumerate() {
        for (item, content) in message.content.iter().enumerate() {
            match content {
                Content::Image(_) | Content::Precomputed(MediaPlan::Image(_)) => images.push((index, item)),
                Content::Video(_) | Content::Precomputed(MediaPlan::Video(_)) => videos.push((index, item)),
                _ => {}
            }
        }
    }
    let is_video = |media: &Media| matches!(media.plan(), MediaPlan::Video(_));
    let shown = |mut places: Vec<Place>, count: usize| {
        let stay = places.iter().filter(|(message, _)| *message < first).count();
        let end = (stay + places.len().saturating_sub(count)).min(places.len());
        places.drain(stay..end);
        places.into_iter()
    };
    let count = batch.all_media().filter(|media| is_video(media)).count();
    let (mut images, mut videos) = (shown(images, batch.all_media().count() - count), shown(videos, count));
    batch.all_media().filter_map(|media| if is_video(media) { videos.next() } else { images.next() }).collect()
}

/// The answer to a message of a [`Chat`] while it is made: an iterator of events, like [`Stream`](crate::Stream).
pub struct ChatStream<'c, 'm> {
    chat: &'c mut Chat<'m>,
    message: Option<Message>,
    /// The images and videos of the prompt.
    plans: Vec<(MediaPlan, Place)>,
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
                self.chat.push(Message::assistant().text(generation.text()));
                Some(Ok(Event::Finished(generation)))
            }
        }
    }
}

impl ChatStream<'_, '_> {
    /// Adds the message to the history, and keeps what the next turn can use.
    fn remember(&mut self, run: &mut Run<'_>) {
        self.chat.history.messages.extend(self.message.take());
        if !self.chat.reuses_cache {
            return;
        }
        self.chat.cached = run.take_cached();
        // A run that was cancelled before it had its features leaves those of earlier ones.
        if run.features.len() == self.plans.len() {
            let seen = self.plans.drain(..).zip(run.features.drain(..));
            self.chat.seen = seen.map(|((plan, place), media)| (place, Seen { plan, media })).collect();
        }
    }
}

/// A stream that is dropped before its end leaves the history as it was. What it has computed can still serve the next turn,
/// as far as that begins in the same way.
impl Drop for ChatStream<'_, '_> {
    fn drop(&mut self) {
        if let Some(mut run) = self.run.take().filter(|_| self.chat.reuses_cache) {
            self.chat.cached = run.take_cached();
        }
    }
}
