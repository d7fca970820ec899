//! `cargo xtask check`: format, clippy, docs, arrows.

use crate::arrows;
use crate::process::cargo;

/// Runs all checks; the cheap ones first.
pub fn run() -> Result<(), String> {
    cargo("fmt --all --check")?;
    arrows::check()?;
    cargo("clippy --workspace --all-targets --quiet -- --deny warnings")?;
    // RUSTDOCFLAGS would rebuild nothing else; cargo passes it to rustdoc alone.
    cargo("--config build.rustdocflags=[\"--deny=warnings\"] doc --workspace --no-deps --quiet")
}
