//! The `smolvlm` command: describes images and videos, chats, answers conversations, inspects and benchmarks all
//! stages. A library, so that the Python package has the command, too.

// The print macros panic if stdout or stderr cannot be written; `say` does not.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod answer;
mod args;
mod array_file;
mod commands;
mod conversations;
mod download_bar;
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
use std::ffi::OsString;

/// The exit code of success, and of a failed command.
const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;

/// The exit code for invalid arguments, or for a help text that cannot be written.
const USAGE: u8 = 2;

/// Runs the command with these arguments, the first of which is its name; returns the exit code.
pub fn run<T: Into<OsString> + Clone>(args: impl IntoIterator<Item = T>) -> u8 {
    panics::record_backend_panics();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let has_failed = error.print().is_err() || error.use_stderr();
            return if has_failed { USAGE } else { SUCCESS };
        }
    };
    let outcome = match cli.command {
        Command::Describe(args) => commands::describe::run(&args),
        Command::Chat(args) => commands::chat::run(&args),
        Command::Decide(args) => commands::decide::run(&args),
        Command::Generate(args) => commands::generate::run(&args),
        Command::Document(args) => commands::document::run(&args),
        Command::Batch(args) => commands::batch::run(&args),
        #[cfg(feature = "server")]
        Command::Serve(args) => commands::serve::run(args),
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
        Ok(()) => SUCCESS,
        // A closed pipe (`smolvlm ... | head`) is not an error.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => SUCCESS,
        Err(Failure::Reported) => FAILURE,
        Err(Failure::Interrupted) => {
            say::error(Failure::Interrupted);
            output::INTERRUPTED
        }
        Err(failure) => {
            say::error(failure.with_first_cause(panics::first_backend_panic()));
            FAILURE
        }
    }
}
