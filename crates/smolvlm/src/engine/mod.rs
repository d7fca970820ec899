//! The engine: one worker thread that runs all requests of a model together.
//!
//! Clients prepare a [`Request`] on their own threads, up to pixels and tokens, and hold a [`Ticket`] to its updates.
//! The worker encodes tiles, prefills prompts in chunks and decodes all running sequences in the same steps
//! (continuous batching). On packed weights, every answer is the one that its request gets alone.

mod active_request;
mod answer;
mod encoder;
mod prompt;
mod request;
mod scoring;
mod stats;
mod ticket;
mod updates;
mod worker;

pub(crate) use answer::{Answer, Texts};
pub(crate) use prompt::EncodedPrompt;
pub(crate) use request::{Request, RequestOptions};
pub(crate) use scoring::{Scoring, TokenizedQuestion};
pub use stats::EngineStats;
pub(crate) use ticket::{Ticket, Update};

use crate::Error;
use crate::smolvlm::Loaded;
use stats::SharedStats;
use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use worker::Worker;

/// The worker thread of a model, started with the first request. It ends with the last handle of the model.
pub(crate) struct Engine {
    loaded: Arc<Loaded>,
    worker: Mutex<Option<(Sender<Request>, JoinHandle<()>)>>,
    stats: SharedStats,
}

impl Engine {
    pub(crate) fn new(loaded: Arc<Loaded>) -> Self {
        Self { loaded, worker: Mutex::new(None), stats: SharedStats::default() }
    }

    pub(crate) fn stats(&self) -> EngineStats {
        self.stats.get()
    }

    /// Hands a request to the worker.
    pub(crate) fn submit(&self, request: Request) -> Result<(), Error> {
        // The worker is replaced as a whole, so a poisoned lock is safe to use.
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let request = match worker.as_ref() {
            Some((sender, _)) => match sender.send(request) {
                Ok(()) => return Ok(()),
                // The thread has ended by a panic: a new one takes its place.
                Err(SendError(request)) => request,
            },
            None => request,
        };
        let (sender, receiver) = channel();
        let (loaded, stats) = (self.loaded.clone(), self.stats.clone());
        let thread = std::thread::Builder::new().name("smolvlm-engine".to_owned());
        let thread = thread.spawn(move || Worker::new(loaded, receiver, stats).run());
        let thread = thread.map_err(|error| Error::Threads { threads: 1, message: error.to_string() })?;
        let sent = sender.send(request).map_err(|_| Error::EngineStopped);
        *worker = Some((sender, thread));
        sent
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let worker = self.worker.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((sender, thread)) = worker {
            drop(sender);
            // A panic was reported to the clients of its requests.
            drop(thread.join());
        }
    }
}
