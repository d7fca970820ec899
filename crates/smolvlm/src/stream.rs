//! An answer while it is made.

use crate::run::Run;
use crate::{Error, Generation, SmolVlm};

/// What happens while an answer is made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The answer grew by this text. Never an incomplete character.
    Text(String),
    /// The answer is complete. Always the last event.
    Finished(Generation),
}

/// An answer while it is made: an iterator of events. Each call of `next` makes one token or more; dropping the stream
/// ends the work and frees its memory.
pub struct Stream<'m> {
    owner: &'m SmolVlm,
    run: Option<Run<'m>>,
}

impl<'m> Stream<'m> {
    pub(crate) fn new(owner: &'m SmolVlm, run: Run<'m>) -> Self {
        Self { owner, run: Some(run) }
    }
}

impl Iterator for Stream<'_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut run = self.run.take()?;
        while !run.is_finished() {
            // Nothing comes after an error: the run is dropped with it.
            match self.owner.on_threads(|| run.step()) {
                Err(error) => return Some(Err(error)),
                Ok(deltas) => {
                    if let Some(text) = deltas.into_iter().flatten().next() {
                        self.run = Some(run);
                        return Some(Ok(Event::Text(text)));
                    }
                }
            }
        }
        run.into_generations().pop().map(|generation| Ok(Event::Finished(generation)))
    }
}

impl std::iter::FusedIterator for Stream<'_> {}
