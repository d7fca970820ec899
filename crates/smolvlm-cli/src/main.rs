//! The smolvlm command: describe images and videos, chat, run conversations, inspect and time every stage.

// They panic where stderr or stdout cannot be written: `say` does not.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod answer;
mod args;
mod commands;
mod conversations;
mod failure;
mod inputs;
mod load;
mod media;
mod output;
mod panics;
mod pipe;
mod say;
mod show;

use args::{Cli, Command};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

// Tensors come and go by the megabyte: with the system's allocator each is a fresh mapping full of page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of a command line that means nothing, or of a help text that cannot be written.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    panics::keep_those_of_backends();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let has_failed = error.print().is_err() || error.use_stderr();
            return if has_failed { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match cli.command {
        Command::Describe(args) => commands::describe::run(&args),
        Command::Chat(args) => commands::chat::run(&args),
        Command::Generate(args) => commands::generate::run(&args),
        Command::Process(args) => commands::process::run(&args),
        Command::Estimate(args) => commands::estimate::run(&args),
        Command::Forward(args) => commands::forward::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Devices => commands::devices::run(),
        Command::Random(args) => commands::random::run(&args),
        #[cfg(feature = "flex")]
        Command::Quantize(args) => commands::quantize::run(&args),
        #[cfg(feature = "train")]
        Command::Train(args) => commands::train::run(&args),
        #[cfg(feature = "train")]
        Command::Eval(args) => commands::train::eval(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough (`smolvlm ... | head`): nothing to complain about.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(failure) => {
            say::error(failure.with_first_cause(panics::first_of_backends()));
            ExitCode::FAILURE
        }
    }
}
