//! Trains the checkpoint of `smolvlm-demo` from scratch on data of `smolvlm-synth`, and evaluates it.

mod conversation;
mod export;
mod questions;
mod recipe;
mod score;
mod stage;
mod train;
mod vocabulary;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// A training step allocates and frees thousands of large tensors.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train and evaluate the checkpoint of the demo model.
#[derive(Debug, Parser)]
#[command(name = "smolvlm-demo-train")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train from scratch, or resume the last run in the same folder
    Train(train::Train),
    /// Write the newest training checkpoint in bf16, as shipped
    Export {
        /// Output folder of training
        from: PathBuf,
        /// Folder to write
        to: PathBuf,
    },
    /// Write the first test questions of each kind, with their images, as JSON Lines
    Questions {
        /// Folder to write
        to: PathBuf,
        /// Number of questions of each kind
        #[arg(long, default_value_t = 16)]
        of_each: u64,
    },
    /// Ask new questions of each kind and measure accuracy
    Score(score::Score),
}

fn main() -> ExitCode {
    let outcome: Result<(), Box<dyn Error>> = match Cli::parse().command {
        Command::Train(args) => train::run(&args),
        Command::Export { from, to } => export::run(&from, &to),
        Command::Questions { to, of_each } => questions::run(&to, of_each),
        Command::Score(args) => score::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
