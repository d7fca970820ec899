//! Streaming generation.

use crate::run::Run;
use crate::{Cancel, Error, Generation};

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// New text. Never an incomplete character.
    Text(String),
    /// The answer is complete. Always the last event.
    Finished(Generation),
}

/// An iterator over the events of a running generation. The first call of `next` encodes the images and runs the
/// prompt; each call generates one token or more. It owns a handle of the model. Dropping the stream stops generation
/// and frees its memory.
pub struct Stream {
    run: Option<Run>,
    cancel: Cancel,
}

impl Stream {
    pub(crate) fn new(run: Run, cancel: Cancel) -> Self {
        Self { run: Some(run), cancel }
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
        let mut run = self.run.take()?;
        match run.next_text() {
            // An error ends the stream: the run is dropped.
            Err(error) => Some(Err(error)),
            Ok(Some(text)) => {
                self.run = Some(run);
                Some(Ok(Event::Text(text)))
            }
            Ok(None) => run.into_generations().pop().map(|generation| Ok(Event::Finished(generation))),
        }
    }
}

impl std::iter::FusedIterator for Stream {}
