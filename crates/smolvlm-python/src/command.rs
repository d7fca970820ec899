//! The `smolvlm` command.

use pyo3::prelude::*;

/// Runs the command with these arguments, the first of which is its name; returns the exit code.
#[pyfunction]
pub fn run_command(py: Python<'_>, args: Vec<String>) -> u8 {
    py.detach(|| smolvlm_cli::run(args))
}
