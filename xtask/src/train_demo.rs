//! `cargo xtask train-demo`: the demo's checkpoint from nothing.

use crate::process::{execute, execute_with, release_binary};

/// Where training keeps its checkpoints.
const OUT: &str = "target/demo-train";
/// Where the trained checkpoint belongs.
const CHECKPOINT: &str = "crates/smolvlm-demo/checkpoint";
/// Keeps freed memory in the allocator, since the next step needs as much.
const KEEP_MEMORY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "-1");

/// Trains, writes the checkpoint to its place and scores it.
pub fn run(training_args: &[String]) -> Result<(), String> {
    execute("cargo", ["build", "--release", "--package", "smolvlm-demo-train"])?;
    let binary = release_binary("smolvlm-demo-train");
    let words = ["train", "--out", OUT].map(str::to_owned);
    execute_with(&[KEEP_MEMORY], &binary, words.into_iter().chain(training_args.iter().cloned()))?;
    execute(&binary, ["export", OUT, CHECKPOINT])?;
    execute(&binary, ["score", CHECKPOINT, "--questions", "200"])
}
