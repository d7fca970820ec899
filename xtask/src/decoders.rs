//! `cargo xtask decoders`: image decoders against Pillow's on random files, all frames of animated WebP included.

use crate::golden::python;
use crate::process::{execute, release_binary};

/// Builds the decoder's example, makes random files of every format and compares. Arguments go to the script: `--count N`
/// files per format (200), `--seed N`, `--formats NAME...`, `--keep DIR`. The formats `tiff` and `webp` need `tiffcp` and
/// `cwebp` on the PATH; `webp_moving` and `webp_composed` need nothing.
pub fn run(rest: &[String]) -> Result<(), String> {
    execute("cargo", ["build", "--release", "--package", "smolvlm-image", "--example", "decode"])?;
    let decoder = release_binary("examples/decode").to_string_lossy().into_owned();
    let words = ["tests/golden/compare_decoders.py".to_owned(), "--decoder".into(), decoder];
    execute(python()?, words.iter().chain(rest).cloned())
}
