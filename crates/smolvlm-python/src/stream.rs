//! Streams of answers.

use crate::error::exception;
use crate::fork::HomeProcess;
use crate::interrupt::SIGNALS;
use crate::model::to_python;
use crate::notifier::Notifier;
use futures_core::Stream as _;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use smolvlm::{AsyncStream, Error, Event};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// The events of a running generation.
#[pyclass(frozen, module = "smolvlm._native")]
pub struct Stream {
    /// None once the stream has ended or was cancelled.
    events: Mutex<Option<AsyncStream>>,
    cancel: smolvlm::Cancel,
    home: HomeProcess,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.home.is_current() {
            // A forked process has none of the threads that would be told.
            std::mem::forget(self.events.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// The next event, or none at the end.
type Next = Option<Result<Event, Error>>;

impl Stream {
    pub fn new(stream: smolvlm::Stream, cancel: smolvlm::Cancel) -> Self {
        Self { events: Mutex::new(Some(stream.into_async())), cancel, home: HomeProcess::current() }
    }

    /// The next event if there is one by now; otherwise the waker is woken later.
    fn poll_next(&self, waker: &Waker) -> Poll<Next> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = events.as_mut() else { return Poll::Ready(None) };
        let next = Pin::new(stream).poll_next(&mut Context::from_waker(waker));
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            *events = None;
        }
        next
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[pymethods]
impl Stream {
    /// Waits for the next event; none after the last one.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.home.check()?;
        let next = py.detach(|| {
            let waker = Arc::new(Unpark(thread::current())).into();
            loop {
                if let Poll::Ready(next) = self.poll_next(&waker) {
                    return Ok(next);
                }
                thread::park_timeout(SIGNALS);
                if let Err(signal) = Python::attach(|py| py.check_signals()) {
                    self.cancel.cancel();
                    return Err(signal);
                }
            }
        })?;
        event(py, next)
    }

    /// The next event, none after the last one, or false if there is none yet: then `ready` is called later.
    fn poll<'py>(&self, py: Python<'py>, ready: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.home.check()?;
        let waker = Notifier::new(ready).into();
        match py.detach(|| self.poll_next(&waker)) {
            Poll::Ready(next) => event(py, next),
            Poll::Pending => false.into_bound_py_any(py),
        }
    }

    /// Stops the generation. The stream still gives the events up to its end.
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

fn event<'py>(py: Python<'py>, next: Next) -> PyResult<Bound<'py, PyAny>> {
    match next.transpose().map_err(exception)? {
        Some(Event::Text(text)) => ("text", text).into_bound_py_any(py),
        Some(Event::Token { id, logprobs }) => ("token", id, to_python(py, &logprobs)?).into_bound_py_any(py),
        Some(Event::Finished(answer)) => ("finished", to_python(py, &answer)?).into_bound_py_any(py),
        Some(_) | None => Ok(py.None().into_bound(py)),
    }
}
