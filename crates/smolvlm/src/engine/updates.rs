//! The channel of updates from the worker to a client, which waits for them on a thread or in a future.

use super::ticket::Update;
use crate::Error;
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// The future that waits for the next update, if any.
type Waiting = Arc<Mutex<Option<Waker>>>;

/// The worker's end. Dropping it ends the client's wait.
pub(crate) struct UpdateSender {
    sender: Option<Sender<Update>>,
    waiting: Waiting,
}

/// The client's end.
pub(super) struct UpdateReceiver {
    receiver: Receiver<Update>,
    #[cfg(feature = "async")]
    waiting: Waiting,
}

pub(super) fn updates() -> (UpdateSender, UpdateReceiver) {
    let ((sender, receiver), waiting) = (channel(), Waiting::default());
    let receiver = UpdateReceiver {
        receiver,
        #[cfg(feature = "async")]
        waiting: waiting.clone(),
    };
    (UpdateSender { sender: Some(sender), waiting }, receiver)
}

impl UpdateSender {
    /// Sends an update; an error if the client no longer waits.
    pub(super) fn send(&self, update: Update) -> Result<(), SendError<Update>> {
        match &self.sender {
            Some(sender) => sender.send(update)?,
            None => return Err(SendError(update)),
        }
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        // A waker is replaced as a whole, so a poisoned lock is safe to use.
        let waker = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Drop for UpdateSender {
    fn drop(&mut self) {
        // The channel must be closed before the future looks at it.
        self.sender = None;
        self.wake();
    }
}

impl UpdateReceiver {
    /// Waits for the next update.
    pub(super) fn next(&self) -> Update {
        self.receiver.recv().unwrap_or(Update::Failed(Error::EngineStopped))
    }

    /// The next update, if there is one; otherwise the task is woken when there is.
    #[cfg(feature = "async")]
    pub(super) fn poll(&self, context: &std::task::Context<'_>) -> std::task::Poll<Update> {
        use std::sync::mpsc::TryRecvError;
        use std::task::Poll;
        // Registered before looking, so that no update is missed in between.
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        match self.receiver.try_recv() {
            Ok(update) => Poll::Ready(update),
            Err(TryRecvError::Empty) => Poll::Pending,
            Err(TryRecvError::Disconnected) => Poll::Ready(Update::Failed(Error::EngineStopped)),
        }
    }
}
