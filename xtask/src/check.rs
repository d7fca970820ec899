//! `cargo xtask check`: format, clippy, docs, arrows.

use crate::arrows;
use crate::process::{cargo, execute_with, features};

/// Backends that the tests' build lacks: of other systems, or with a compiler that their builds download.
const OTHER_BACKENDS: &[&str] = &["cuda", "cpu", "vulkan", "metal", "webgpu", "fusion", "persistence"];

/// Runs all checks; the cheap ones first.
pub fn run() -> Result<(), String> {
    cargo("fmt --all --check")?;
    arrows::check()?;
    let features = features().join(" ");
    cargo(&format!("clippy --workspace --all-targets --quiet {features} -- --deny warnings"))?;
    // Once more without what features add, where that is quick.
    cargo("clippy --package smolvlm-video --package smolvlm-processor --quiet -- --deny warnings")?;
    // As documentation they are built without the download, which is enough to check types.
    let facade = |features: &str| {
        let words = format!("clippy --package smolvlm --quiet {features} -- --deny warnings");
        execute_with(&[("DOCS_RS", "1")], "cargo", words.split_whitespace())
    };
    facade(&format!("--features {}", OTHER_BACKENDS.join(",")))?;
    for alone in ["", "flex", "ndarray", "wgpu"].iter().chain(OTHER_BACKENDS) {
        facade(&format!("--no-default-features --features={alone}"))?;
    }
    // RUSTDOCFLAGS would rebuild nothing else; cargo passes it to rustdoc alone.
    cargo(&format!("--config build.rustdocflags=[\"--deny=warnings\"] doc --workspace --no-deps --quiet {features}"))
}
