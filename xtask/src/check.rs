//! `cargo xtask check`: format, clippy, docs, arrows.

use crate::arrows;
use crate::process::{cargo, execute_with, features};

/// Backends that the tests' build lacks: of other systems, or with a compiler that their builds download.
const OTHER_BACKENDS: &[&str] = &["cuda", "cpu", "vulkan", "metal", "webgpu", "fusion", "persistence", "autotune"];

/// Features of the command that the build above lacks alone. `video` needs a library, and is in that build where it is there.
const COMMAND: &[&str] = &["", "flex", "ndarray", "wgpu", "hub", "http", "demo", "train"];

/// Backends' features that only the crate `smolvlm` has by itself.
const COMMAND_LACKS: &[&str] = &["fusion", "persistence", "autotune"];

/// Runs all checks; the cheap ones first.
pub fn run() -> Result<(), String> {
    cargo("fmt --all --check")?;
    arrows::check()?;
    let features = features().join(" ");
    cargo(&format!("clippy --workspace --all-targets --quiet {features} -- --deny warnings"))?;
    // Once more without what features add, where that is quick.
    cargo("clippy --package smolvlm-video --package smolvlm-processor --quiet -- --deny warnings")?;
    // As documentation they are built without the download, which is enough to check types.
    let clippy = |package: &str, features: &str| {
        let words = format!("clippy --package {package} --quiet {features} -- --deny warnings");
        execute_with(&[("DOCS_RS", "1")], "cargo", words.split_whitespace())
    };
    clippy("smolvlm", &format!("--features {}", OTHER_BACKENDS.join(",")))?;
    // Each feature alone, in the command and with it in the crates below.
    for alone in COMMAND.iter().chain(OTHER_BACKENDS) {
        let package = if COMMAND_LACKS.contains(alone) { "smolvlm" } else { "smolvlm-cli" };
        clippy(package, &format!("--no-default-features --features={alone}"))?;
    }
    // RUSTDOCFLAGS would rebuild nothing else; cargo passes it to rustdoc alone.
    cargo(&format!("--config build.rustdocflags=[\"--deny=warnings\"] doc --workspace --no-deps --quiet {features}"))
}
