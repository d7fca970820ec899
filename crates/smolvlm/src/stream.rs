//! Streaming generation.

use crate::engine::{Answer, Ticket, Update};
use crate::{Cancel, Error, Generation, TokenLogprobs};

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
        let ticket = self.ticket.take()?;
        let event = match ticket.next() {
            Update::Token(id, logprobs) => Event::Token { id, logprobs },
            Update::Text(text) => Event::Text(text),
            // The last events leave no ticket.
            Update::Finished(answer) => return finish(*answer).map(|text| Ok(Event::Finished(text))),
            Update::Failed(error) => return Some(Err(error)),
        };
        self.ticket = Some(ticket);
        Some(Ok(event))
    }
}

impl Iterator for Stream {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_event(|answer| answer.generations.into_iter().next())
    }
}

impl std::iter::FusedIterator for Stream {}
