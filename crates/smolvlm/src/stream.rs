//! An answer while it is made.

use crate::run::Run;
use crate::{Cancel, Error, Generation, SmolVlm};

/// What happens while an answer is made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The answer grew by this text. Never an incomplete character.
    Text(String),
    /// The answer is complete. Always the last event.
    Finished(Generation),
}

/// An answer while it is made: an iterator of events. The first call of `next` encodes the images and runs the prompt; every
/// call makes one token or more. Dropping the stream ends the work and frees its memory.
pub struct Stream<'m> {
    owner: &'m SmolVlm,
    run: Option<Run<'m>>,
    cancel: Cancel,
}

impl<'m> Stream<'m> {
    pub(crate) fn new(owner: &'m SmolVlm, run: Run<'m>, cancel: Cancel) -> Self {
        Self { owner, run: Some(run), cancel }
    }

    /// Ends the answer from elsewhere: it finishes with what it has, for the reason
    /// [`Cancelled`](crate::FinishReason::Cancelled).
    pub fn cancel_handle(&self) -> Cancel {
        self.cancel.clone()
    }
}

impl Iterator for Stream<'_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut run = self.run.take()?;
        match next_event(self.owner, &mut run) {
            // Nothing comes after an error: the run is dropped with it.
            Err(error) => Some(Err(error)),
            Ok(Some(text)) => {
                self.run = Some(run);
                Some(Ok(Event::Text(text)))
            }
            Ok(None) => run.into_generations().pop().map(|generation| Ok(Event::Finished(generation))),
        }
    }
}

impl std::iter::FusedIterator for Stream<'_> {}

/// Steps until there is text to show; none at the end.
pub(crate) fn next_event(owner: &SmolVlm, run: &mut Run<'_>) -> Result<Option<String>, Error> {
    while !run.is_finished() {
        if let Some(text) = owner.on_threads(|| run.step())?.into_iter().flatten().next() {
            return Ok(Some(text));
        }
    }
    Ok(None)
}
