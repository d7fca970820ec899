//! The examples of the crate `smolvlm`, run with the demo model.

use crate::process::{execute, target};

/// Names in `crates/smolvlm/examples`, without the benchmarks `ragged` and `replay`.
const EXAMPLES: [&str; 8] = ["batch", "chat", "describe", "device", "embeddings", "own_loop", "stream", "video"];

/// Builds the examples with the features of the tests, which compiles nothing else again, and runs each.
pub fn run(features: &[String]) -> Result<(), String> {
    let names = EXAMPLES.iter().flat_map(|name| ["--example", name]).map(str::to_owned);
    let words = ["build", "--workspace", "--quiet"].map(str::to_owned).into_iter().chain(names);
    execute("cargo", words.chain(features.iter().cloned()))?;
    EXAMPLES.iter().try_for_each(|name| execute(target().join("debug/examples").join(name), [""; 0]))
}
