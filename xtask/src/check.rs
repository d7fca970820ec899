//! `cargo xtask check`: format, clippy, docs, arrows.

use crate::arrows;
use crate::process::{cargo, features};

/// Runs all checks; the cheap ones first.
pub fn run() -> Result<(), String> {
    cargo("fmt --all --check")?;
    arrows::check()?;
    let features = features().join(" ");
    cargo(&format!("clippy --workspace --all-targets --quiet {features} -- --deny warnings"))?;
    // Once more without what features add, where that is quick.
    cargo("clippy --package smolvlm-video --package smolvlm-processor --quiet -- --deny warnings")?;
    // RUSTDOCFLAGS would rebuild nothing else; cargo passes it to rustdoc alone.
    cargo(&format!("--config build.rustdocflags=[\"--deny=warnings\"] doc --workspace --no-deps --quiet {features}"))
}
