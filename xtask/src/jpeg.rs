//! `cargo xtask jpeg`: decoded JPEG files against Pillow's pixels.

use crate::process::{execute, root};
use std::path::Path;

/// Makes random files with Pillow and libjpeg-turbo's tools (cjpeg and jpegtran on the PATH), decodes them and compares.
/// `--files N` (10,000) and `--seed N` choose them. Files that differ are left in `target/jpeg`.
pub fn run(rest: &[String]) -> Result<(), String> {
    let folder = root().join("target/jpeg");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (environment, pack) = (folder.join("python"), folder.join("pack"));
    let python = environment.join("bin/python");
    if !python.exists() {
        execute("python3", ["-m", "venv", &text(&environment)])?;
        execute(&python, ["-m", "pip", "install", "--quiet", "pillow==13.0.0", "numpy"])?;
    }
    let script = ["tests/bench/jpeg_files.py".to_owned(), text(&pack)];
    execute(&python, script.iter().chain(rest))?;
    let example = ["run", "--quiet", "--package", "smolvlm-image", "--example", "jpeg_parity", "--"];
    execute("cargo", example.map(str::to_owned).iter().chain(&[text(&pack), text(&folder)]))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
