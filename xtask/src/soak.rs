//! `cargo xtask soak`: mixed load for a long time, with leaks and wrong answers as failures.

use crate::process::{cargo, execute, release_binary};

#[derive(clap::Args)]
pub struct Args {
    /// Minutes of load, half of them with the bundled model, half with a large random one
    #[arg(long, default_value_t = 30)]
    minutes: u32,
    /// Seed of the load
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// Builds the release binary and runs `tests/server/soak.py`, which needs Linux and Python without packages.
pub fn run(args: &Args) -> Result<(), String> {
    cargo("build --release --package smolvlm-cli")?;
    let binary = release_binary("smolvlm").to_string_lossy().into_owned();
    let [minutes, seed] = [args.minutes, args.seed].map(|number| number.to_string());
    execute("python3", ["tests/server/soak.py", &binary, "--minutes", &minutes, "--seed", &seed])
}
