//! A thread that calls Python functions, so that the engine never waits for the interpreter's lock.

use pyo3::prelude::*;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Wake;
use std::thread;

static CALLS: OnceLock<Sender<Py<PyAny>>> = OnceLock::new();

/// Calls a Python function once, when it is woken.
pub struct Notifier(Mutex<Option<Py<PyAny>>>);

impl Notifier {
    /// A notifier that calls this function.
    pub fn new(function: Py<PyAny>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(function))))
    }
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        if let Some(function) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The thread ends with the process only.
            let _ = CALLS.get_or_init(start).send(function);
        }
    }
}

fn start() -> Sender<Py<PyAny>> {
    let (sender, calls) = channel::<Py<PyAny>>();
    thread::spawn(move || {
        for function in calls {
            // None while the interpreter shuts down.
            Python::try_attach(|py| {
                if let Err(error) = function.call0(py) {
                    error.write_unraisable(py, Some(function.bind(py)));
                }
            });
        }
    });
    sender
}
