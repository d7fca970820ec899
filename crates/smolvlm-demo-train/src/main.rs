//! Trains the checkpoint of `smolvlm-demo` from nothing, in the world of `smolvlm-world`, and scores it.

mod design;
mod export;
mod lessons;
mod questions;
mod score;
mod stage;
mod train;
mod vocabulary;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// A step of training makes thousands of large results and drops them again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train the demo's checkpoint and score it.
#[derive(Debug, Parser)]
#[command(name = "smolvlm-demo-train")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train, from nothing or from where the last run in the same folder ended
    Train(train::Train),
    /// Write the newest checkpoint of training in bf16, as it is shipped
    Export {
        /// Folder that training wrote to
        from: PathBuf,
        /// Folder to write
        to: PathBuf,
    },
    /// Write the first test questions of every kind, with their pictures, as JSON lines
    Questions {
        /// Folder to write
        to: PathBuf,
        /// Questions of each kind
        #[arg(long, default_value_t = 16)]
        of_each: u64,
    },
    /// Ask new questions of every kind and count the right answers
    Score(score::Score),
}

fn main() -> ExitCode {
    let done: Result<(), Box<dyn Error>> = match Cli::parse().command {
        Command::Train(args) => train::run(&args),
        Command::Export { from, to } => export::run(&from, &to),
        Command::Questions { to, of_each } => questions::run(&to, of_each),
        Command::Score(args) => score::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
