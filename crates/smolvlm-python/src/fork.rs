//! Detection of forked processes, in which the threads of the parent do not exist.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::sync::OnceLock;

/// The process that started the threads for images, which all processors and models share.
static THREADS: OnceLock<u32> = OnceLock::new();

/// The process that loaded a model.
#[derive(Clone, Copy)]
pub struct HomeProcess(u32);

impl HomeProcess {
    /// The current process.
    pub fn current() -> Self {
        Self(std::process::id())
    }

    /// Whether this is still that process.
    pub fn is_current(self) -> bool {
        std::process::id() == self.0
    }

    /// An error in a child process that was forked after loading: a call would wait for threads that only the parent
    /// has.
    pub fn check(self) -> PyResult<()> {
        if self.is_current() { Ok(()) } else { Err(forked()) }
    }
}

/// An error in a child process whose parent had used the threads for images before it was forked.
pub fn check_threads() -> PyResult<()> {
    HomeProcess(*THREADS.get_or_init(std::process::id)).check()
}

fn forked() -> PyErr {
    PyRuntimeError::new_err(
        "this process was forked after its parent had used smolvlm, whose threads only the parent has; start child \
         processes with multiprocessing.get_context('spawn'), a DataLoader with multiprocessing_context='spawn', or \
         use smolvlm in the children only",
    )
}
