//! `cargo xtask jpeg`: decoded JPEG files against Pillow's pixels.

use crate::golden::python;
use crate::process::{execute, root};
use std::path::Path;

/// Makes random files with Pillow and libjpeg-turbo's tools (cjpeg and jpegtran on the PATH), decodes them and compares.
/// `--files N` (10,000) and `--seed N` choose them. Files that differ are left in `target/jpeg`.
pub fn run(rest: &[String]) -> Result<(), String> {
    let folder = root().join("target/jpeg");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let pack = text(&folder.join("pack"));
    let script = ["tests/bench/jpeg_files.py", &pack].map(str::to_owned);
    execute(python()?, script.iter().chain(rest))?;
    let example = ["run", "--quiet", "--package", "smolvlm-image", "--example", "jpeg_parity", "--"];
    execute("cargo", example.map(str::to_owned).into_iter().chain([pack, text(&folder)]))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
