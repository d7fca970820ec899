//! Detection of forked processes, in which a model's threads do not exist.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The process that loaded a model.
pub struct HomeProcess(u32);

impl HomeProcess {
    /// The current process.
    pub fn current() -> Self {
        Self(std::process::id())
    }

    /// An error in a child process that was forked after loading: a call would wait for threads that only the parent
    /// has.
    pub fn check(&self) -> PyResult<()> {
        if std::process::id() == self.0 {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this model was loaded before the process was forked; load it in the child process instead, or start \
             child processes with multiprocessing.get_context('spawn')",
        ))
    }
}
