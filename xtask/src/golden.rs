//! `cargo xtask golden`: goldens against the reference implementation.

use crate::process::{cargo, execute, python_environment, root};
use std::path::PathBuf;

/// Where the demo's questions go.
const QUESTIONS: &str = "target/demo-questions";

/// Makes a Python environment with the pinned packages (once, under `target/`) and the demo's questions, then rebuilds
/// all goldens and compares them with the committed ones, or replaces those. Then runs the tests against the goldens
/// that take too long for CI.
pub fn run(write: bool) -> Result<(), String> {
    let python = python()?;
    cargo(&format!("run --release --package smolvlm-demo-train -- questions {QUESTIONS} --of-each 16"))?;
    let mode = if write { ["--out", "tests/golden"].as_slice() } else { ["--check"].as_slice() };
    execute(&python, ["tests/golden/make.py", "--questions", QUESTIONS].iter().chain(mode).copied())?;
    cargo("test --package smolvlm-tests --test integration all_answers -- --ignored")
}

/// The Python of the environment with the pinned packages, made if it is missing.
pub fn python() -> Result<PathBuf, String> {
    let packages = ["--requirement", "tests/golden/requirements.txt"];
    Ok(python_environment(&root().join("target/golden-python"), &packages)?.join("python"))
}
