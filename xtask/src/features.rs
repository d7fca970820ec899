//! `cargo xtask features`: every cargo feature alone.

use crate::process::{execute_with, features};

/// Backends that the build of the tests lacks: those of other systems and those whose build scripts download a
/// compiler.
const OTHER_BACKENDS: &[&str] =
    &["cuda", "cubecl-cpu", "vulkan", "metal", "webgpu", "fusion", "persistence", "autotune"];

/// Features of the command that enable something by themselves. `video` needs FFmpeg's libraries and is part of the
/// tests' build where they are installed.
const COMMAND: &[&str] =
    &["", "flex", "constrain", "ndarray", "wgpu", "hub", "http", "demo", "parquet", "server", "train"];

/// Features that only the crate `smolvlm` has.
const LIBRARY_ONLY: &[&str] = &["async", "fusion", "persistence", "autotune"];

/// Type-checks each feature of the command, and with it of the crates below, without the others.
pub fn run() -> Result<(), String> {
    for feature in COMMAND.iter().chain(&["async"]).chain(OTHER_BACKENDS) {
        let package = if LIBRARY_ONLY.contains(feature) { "smolvlm" } else { "smolvlm-cli" };
        clippy_without_downloads(package, &format!("--no-default-features --features={feature}"))?;
    }
    Ok(())
}

/// The features of the tests' build and the other backends, for checks of types.
pub fn every_backend() -> String {
    let other = OTHER_BACKENDS.iter().map(|backend| format!("smolvlm/{backend}"));
    features().into_iter().skip(1).chain(other).collect::<Vec<String>>().join(",")
}

/// `DOCS_RS=1` makes CubeCL's build script skip its download, which suffices for a type check.
pub const WITHOUT_DOWNLOADS: [(&str, &str); 1] = [("DOCS_RS", "1")];

fn clippy_without_downloads(package: &str, features: &str) -> Result<(), String> {
    let words = format!("clippy --package {package} --quiet {features} -- --deny warnings");
    execute_with(&WITHOUT_DOWNLOADS, "cargo", words.split_whitespace())
}
