//! `cargo xtask check`: format, dependencies between crates, clippy, rustdoc.

use crate::features::{OTHER_BACKENDS, clippy_without_downloads};
use crate::process::{cargo, features};
use crate::{arrows, process};

/// Runs all checks; the cheap ones first.
pub fn run() -> Result<(), String> {
    cargo("fmt --all --check")?;
    spelling()?;
    arrows::check()?;
    let features = features().join(" ");
    cargo(&format!("clippy --workspace --all-targets --quiet {features} -- --deny warnings"))?;
    // Without FFmpeg's libraries; the crates below Burn are quick to build.
    cargo("clippy --package smolvlm-video --package smolvlm-processor --quiet -- --deny warnings")?;
    clippy_without_downloads("smolvlm", &format!("--features {}", OTHER_BACKENDS.join(",")))?;
    // Unlike the variable RUSTDOCFLAGS, this does not rebuild dependencies.
    cargo(&format!("--config build.rustdocflags=[\"--deny=warnings\"] doc --workspace --no-deps --quiet {features}"))
}

/// Spelling, where the program `typos` is installed.
fn spelling() -> Result<(), String> {
    if process::succeeds("typos", &["--version"]) {
        process::execute("typos", ["--config", ".typos.toml"])
    } else {
        eprintln!("> without a spell check: there is no `typos` (cargo install typos-cli)");
        Ok(())
    }
}
