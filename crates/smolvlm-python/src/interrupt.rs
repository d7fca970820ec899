//! Long calls without the interpreter's lock, which KeyboardInterrupt and a token can stop.

use crate::error::exception;
use pyo3::prelude::*;
use std::panic;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Time between looks at Python's signals.
pub const SIGNALS: Duration = Duration::from_millis(100);

/// A token that stops work from another thread.
#[pyclass(frozen, module = "smolvlm")]
#[derive(Default)]
pub struct Cancel(pub smolvlm::Cancel);

#[pymethods]
impl Cancel {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Stops the work that got this token.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether `cancel` was called.
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// A token for one call, which the caller's token stops as well.
pub fn child(cancel: Option<&Bound<'_, Cancel>>) -> smolvlm::Cancel {
    cancel.map_or_else(smolvlm::Cancel::new, |cancel| cancel.get().0.child())
}

/// Runs work without the interpreter's lock. If Python gets a signal, such as KeyboardInterrupt, `cancel` is cancelled
/// and the signal's exception returned.
pub fn interruptible<T: Send, E: Into<smolvlm::Error> + Send>(
    py: Python<'_>,
    cancel: &smolvlm::Cancel,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> PyResult<T> {
    py.detach(|| {
        thread::scope(|scope| {
            let (sender, receiver) = channel();
            let worker = scope.spawn(move || {
                // The receiver waits until this thread ends.
                let _ = sender.send(work());
            });
            loop {
                match receiver.recv_timeout(SIGNALS) {
                    Ok(result) => return result.map_err(exception),
                    Err(RecvTimeoutError::Timeout) => {
                        if let Err(signal) = Python::attach(|py| py.check_signals()) {
                            cancel.cancel();
                            return Err(signal);
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => match worker.join() {
                        Err(panic) => panic::resume_unwind(panic),
                        Ok(()) => return Err(exception(smolvlm::Error::EngineStopped)),
                    },
                }
            }
        })
    })
}
