//! Streaming generation.

use crate::engine::{Ticket, Update};
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
}

impl Iterator for Stream {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let ticket = self.ticket.take()?;
        match ticket.next() {
            Update::Token(id, logprobs) => {
                self.ticket = Some(ticket);
                Some(Ok(Event::Token { id, logprobs }))
            }
            Update::Text(text) => {
                self.ticket = Some(ticket);
                Some(Ok(Event::Text(text)))
            }
            Update::Finished(answer) => answer.generations.into_iter().next().map(|text| Ok(Event::Finished(text))),
            // An error ends the stream.
            Update::Failed(error) => Some(Err(error)),
        }
    }
}

impl std::iter::FusedIterator for Stream {}
