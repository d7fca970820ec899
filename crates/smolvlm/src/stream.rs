//! Streaming generation.

use crate::engine::{Answer, Ticket, Update};
use crate::{Cancel, Error, Generation, TokenLogprobs};
#[cfg(feature = "async")]
use std::pin::Pin;
#[cfg(feature = "async")]
use std::task::{Context, Poll};

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A new token with its log-probabilities, if [`SamplingParams::logprobs`](crate::SamplingParams::logprobs)
    /// requests them. The text that it completes, if any, follows.
    Token {
        /// The token id.
        id: u32,
        /// Its log-probabilities.
        logprobs: TokenLogprobs,
    },
    /// New text. Never an incomplete character.
    Text(String),
    /// The answer is complete. Always the last event.
    Finished(Generation),
}

/// An iterator over the events of a running generation, which waits for the next one. It owns a handle of the model.
/// Generation runs on its own; dropping the stream stops it and frees its memory.
pub struct Stream {
    ticket: Option<Ticket>,
    cancel: Cancel,
}

impl Stream {
    pub(crate) fn new(ticket: Ticket, cancel: Cancel) -> Self {
        Self { ticket: Some(ticket), cancel }
    }

    /// A token that stops this generation from elsewhere: it finishes with the text so far and the reason
    /// [`Cancelled`](crate::FinishReason::Cancelled).
    pub fn cancel_handle(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The next event. `finish` takes the answer at the end and returns its text.
    pub(crate) fn next_event(
        &mut self,
        finish: impl FnOnce(Answer) -> Option<Generation>,
    ) -> Option<Result<Event, Error>> {
        let update = self.ticket.as_ref()?.next();
        self.event(update, finish)
    }

    fn event(
        &mut self,
        update: Update,
        finish: impl FnOnce(Answer) -> Option<Generation>,
    ) -> Option<Result<Event, Error>> {
        let last = match update {
            Update::Token(id, logprobs) => return Some(Ok(Event::Token { id, logprobs })),
            Update::Text(text) => return Some(Ok(Event::Text(text))),
            Update::Finished(answer) => finish(*answer).map(|text| Ok(Event::Finished(text))),
            Update::Failed(error) => Some(Err(error)),
        };
        self.ticket = None;
        last
    }

    /// The events as a [`futures::Stream`](futures_core::Stream), for async code.
    #[cfg(feature = "async")]
    pub fn into_async(self) -> AsyncStream {
        AsyncStream(self)
    }
}

impl Iterator for Stream {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_event(|answer| answer.generations.into_iter().next())
    }
}

impl std::iter::FusedIterator for Stream {}

/// The events of a running generation as a [`futures::Stream`](futures_core::Stream): between them, no thread waits.
/// Dropping it stops the generation and frees its memory.
#[cfg(feature = "async")]
pub struct AsyncStream(Stream);

#[cfg(feature = "async")]
impl AsyncStream {
    /// A token that stops this generation, see [`Stream::cancel_handle`].
    pub fn cancel_handle(&self) -> Cancel {
        self.0.cancel_handle()
    }
}

#[cfg(feature = "async")]
impl futures_core::Stream for AsyncStream {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(ticket) = &self.0.ticket else { return Poll::Ready(None) };
        ticket.poll(context).map(|update| self.0.event(update, |answer| answer.generations.into_iter().next()))
    }
}

#[cfg(feature = "async")]
impl futures_core::stream::FusedStream for AsyncStream {
    fn is_terminated(&self) -> bool {
        self.0.ticket.is_none()
    }
}
