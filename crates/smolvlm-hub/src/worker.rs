//! A worker thread that runs asynchronous work and sends events to its caller.

use super::{Event, HubError};
use futures::channel::oneshot;
use futures::future::{Either, select};
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Maximum time between two events.
const TICK: Duration = Duration::from_millis(100);
/// Capacity of the event channel.
const QUEUE: usize = 64;

/// An owned [`Event`] for the channel.
enum Message {
    Progress { file: String, done: u64, total: u64 },
    Note(String),
}

/// The worker's end of the event channel.
pub(super) struct Reporter(SyncSender<Message>);

impl Reporter {
    /// Reports how many bytes of a file have been received.
    pub(super) fn progress(&self, file: &str, done: u64, total: u64) {
        // Fails once the caller has cancelled.
        let _ = self.0.send(Message::Progress { file: file.to_owned(), done, total });
    }

    /// Reports a one-line warning for the user.
    pub(super) fn note(&self, text: String) {
        let _ = self.0.send(Message::Note(text));
    }
}

/// Runs work to completion, or until the caller cancels it. The work runs on a new thread with a new runtime, so that
/// this can be called inside another runtime. Events are delivered on the caller's thread.
pub(super) fn run<T: Send>(
    events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    work: impl AsyncFnOnce(&Reporter) -> Result<T, HubError> + Send,
) -> Result<T, HubError> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE);
        let (cancel, cancelled) = oneshot::channel::<()>();
        let worker = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|source| HubError::Runtime { source })?;
            let reporter = Reporter(sender);
            let result = runtime.block_on(async {
                match select(pin!(work(&reporter)), cancelled).await {
                    Either::Left((result, _)) => result,
                    Either::Right(_) => Err(HubError::Cancelled),
                }
            });
            // Name resolution cannot be interrupted: do not wait for it.
            runtime.shutdown_background();
            result
        });
        loop {
            let flow = match receiver.recv_timeout(TICK) {
                Ok(Message::Progress { file, done, total }) => events(Event::Progress { file: &file, done, total }),
                Ok(Message::Note(text)) => events(Event::Note(&text)),
                Err(RecvTimeoutError::Timeout) => events(Event::Idle),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if flow.is_break() {
                break;
            }
        }
        // Dropped before the join: this cancels the work and unblocks a worker that is sending.
        drop((cancel, receiver));
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_before_the_result() {
        let mut seen = Vec::new();
        let result = run(
            &mut |event| {
                seen.push(format!("{event:?}"));
                ControlFlow::Continue(())
            },
            async |reporter: &Reporter| {
                for done in 0..200 {
                    reporter.progress("file", done, 200);
                }
                reporter.note("text".to_owned());
                Ok(7)
            },
        );
        assert_eq!(result.unwrap(), 7);
        seen.retain(|event| event != "Idle");
        assert_eq!(seen.len(), 201);
        assert_eq!(seen[3], r#"Progress { file: "file", done: 3, total: 200 }"#);
        assert_eq!(seen[200], r#"Note("text")"#);
    }

    #[test]
    fn work_that_never_ends_can_be_cancelled() {
        let waits: Result<(), HubError> = run(&mut |_| ControlFlow::Break(()), async |_: &Reporter| {
            std::future::pending::<()>().await;
            Ok(())
        });
        assert!(matches!(waits, Err(HubError::Cancelled)));
        let reports: Result<(), HubError> = run(&mut |_| ControlFlow::Break(()), async |reporter: &Reporter| {
            loop {
                reporter.progress("file", 0, 1);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(matches!(reports, Err(HubError::Cancelled)));
    }

    #[test]
    fn works_inside_another_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let inside = runtime.block_on(async { run(&mut |_| ControlFlow::Continue(()), async |_: &Reporter| Ok(1)) });
        assert_eq!(inside.unwrap(), 1);
    }
}
