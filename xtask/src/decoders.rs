//! `cargo xtask decoders`: image decoders against Pillow's on random files, all frames of animated WebP included.

use crate::golden::python;
use crate::process::{execute, release_binary};

/// Builds the example that decodes, makes random files of every format and compares.
pub fn run(script_args: &[String]) -> Result<(), String> {
    execute("cargo", ["build", "--release", "--package", "smolvlm-image", "--example", "decode"])?;
    let decoder = release_binary("examples/decode").to_string_lossy().into_owned();
    let words = ["tests/golden/compare_decoders.py".to_owned(), "--decoder".into(), decoder];
    execute(python()?, words.iter().chain(script_args).cloned())
}
