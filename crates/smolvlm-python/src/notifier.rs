//! A thread that calls Python functions, so that the engine never waits for the interpreter's lock.

use pyo3::prelude::*;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;
use std::thread;

/// The thread's queue, and the process that has the thread.
static CALLS: Mutex<Option<(u32, Sender<Py<PyAny>>)>> = Mutex::new(None);

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
            let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
            let here = std::process::id();
            if calls.as_ref().is_none_or(|(process, _)| *process != here) {
                *calls = Some((here, start()));
            }
            // The thread ends with the process only.
            let _ = calls.as_ref().map(|(_, calls)| calls.send(function));
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
