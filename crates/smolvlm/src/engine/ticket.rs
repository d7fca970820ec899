//! The client's side of a request.

use super::Answer;
use super::updates::UpdateReceiver;
use crate::{Cancel, Error, SmolVlm};
use smolvlm_generate::TokenLogprobs;

/// An update of a running request.
#[derive(Debug)]
pub(crate) enum Update {
    /// A new token of its only text, if log-probabilities are requested.
    Token(u32, TokenLogprobs),
    /// New text of its only text.
    Text(String),
    /// All texts are finished. The last update.
    Finished(Box<Answer>),
    /// The request failed. The last update.
    Failed(Error),
}

/// A request that was handed to the engine. Dropping it cancels the request.
pub(crate) struct Ticket {
    updates: UpdateReceiver,
    dropped: Cancel,
    /// Keeps the engine alive.
    _model: SmolVlm,
}

impl Ticket {
    pub(super) fn new(updates: UpdateReceiver, dropped: Cancel, model: SmolVlm) -> Self {
        Self { updates, dropped, _model: model }
    }

    /// Waits for the next update.
    pub(crate) fn next(&self) -> Update {
        self.updates.next()
    }

    /// The next update, if there is one; otherwise the task is woken when there is.
    #[cfg(feature = "async")]
    pub(crate) fn poll(&self, context: &std::task::Context<'_>) -> std::task::Poll<Update> {
        self.updates.poll(context)
    }

    /// Waits for the end of the request.
    pub(crate) fn wait(&self) -> Result<Answer, Error> {
        loop {
            match self.next() {
                Update::Token(..) | Update::Text(_) => {}
                Update::Finished(answer) => return Ok(*answer),
                Update::Failed(error) => return Err(error),
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.dropped.cancel();
    }
}
