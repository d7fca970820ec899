//! `cargo xtask demo`: the main job on a fresh machine.

use crate::process::{cargo, execute, root};

/// Builds the release binary, makes a small random checkpoint and asks it about a picture of this repository.
pub fn run(rest: &[String]) -> Result<(), String> {
    if !rest.is_empty() {
        return Err(format!("demo takes no words, not {rest:?}"));
    }
    cargo("build --release --package smolvlm-cli")?;
    let binary = root().join("target/release/smolvlm");
    let checkpoint = root().join("target/demo-checkpoint");
    let checkpoint = checkpoint.to_string_lossy();
    execute(&binary, ["random", "--preset", "tiny", "--out", &checkpoint, "--force"])?;
    eprintln!();
    eprintln!("This checkpoint is RANDOM: nobody has trained it, so its answer is noise in the shape of an answer.");
    eprintln!("Every step is the real one: decoding, tiling, vision encoder, text model. For words that mean");
    eprintln!("something, name a released model: --model HuggingFaceTB/SmolVLM2-256M-Video-Instruct");
    eprintln!();
    execute(
        &binary,
        [
            "describe",
            "tests/corpus/harbour.jpg",
            "--model",
            &checkpoint,
            "--prompt",
            "What is in this picture?",
            "--max-new-tokens",
            "32",
        ],
    )
}
