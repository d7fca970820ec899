//! `cargo xtask features`: every cargo feature alone.

use crate::process::execute_with;

/// Backends that the build of the tests lacks: those of other systems and those whose build scripts download a
/// compiler.
pub const OTHER_BACKENDS: &[&str] =
    &["cuda", "cubecl-cpu", "vulkan", "metal", "webgpu", "fusion", "persistence", "autotune"];

/// Features of the command that enable something by themselves. `video` needs FFmpeg's libraries and is part of the
/// tests' build where they are installed.
const COMMAND: &[&str] = &["", "flex", "ndarray", "wgpu", "hub", "http", "demo", "train"];

/// Features that only the crate `smolvlm` has.
const LIBRARY_ONLY: &[&str] = &["fusion", "persistence", "autotune"];

/// Type-checks each feature of the command, and with it of the crates below, without the others.
pub fn run() -> Result<(), String> {
    for feature in COMMAND.iter().chain(OTHER_BACKENDS) {
        let package = if LIBRARY_ONLY.contains(feature) { "smolvlm" } else { "smolvlm-cli" };
        clippy_without_downloads(package, &format!("--no-default-features --features={feature}"))?;
    }
    Ok(())
}

/// Clippy on one package. The build script of CubeCL's compiler believes to build documentation, for which it downloads
/// nothing; that is enough to check types.
pub fn clippy_without_downloads(package: &str, features: &str) -> Result<(), String> {
    let words = format!("clippy --package {package} --quiet {features} -- --deny warnings");
    execute_with(&[("DOCS_RS", "1")], "cargo", words.split_whitespace())
}
