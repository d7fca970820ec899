//! The workspace's own tasks. `cargo xtask` lists them.

mod arm;
mod check;
mod clients;
mod constrain;
mod decide;
mod decoders;
mod demo;
mod dependencies;
mod examples;
mod features;
mod fuzz;
mod golden;
mod gpu_bundle;
mod jpeg;
mod llama_suite;
mod page;
mod parity;
mod process;
mod python;
mod schemathesis;
mod server;
mod soak;
mod test;
mod train_demo;
mod vectorized;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The workspace's own tasks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the release binary and ask the bundled model about images and a clip
    Demo,
    /// Run every test as CI does, or those that the arguments select
    ///
    /// Arguments go to the test runner: `cargo xtask test stop` runs the tests whose name contains "stop",
    /// `cargo xtask test --package smolvlm-image` those of one crate.
    Test {
        /// Arguments of the test runner, for instance part of a test's name
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        runner_args: Vec<String>,
    },
    /// Check format, spelling, dependencies between crates, packaging, clippy and rustdoc
    Check,
    /// Run what CI runs: test, python, check, and each fuzz target for 20 seconds
    Ci,
    /// Type-check every feature of the command and the library alone, which takes many builds of Burn
    Features,
    /// Test the CPU kernels on emulated ARM64 processors (needs a cross compiler and QEMU)
    Arm(arm::Args),
    /// Rebuild the goldens with the reference implementation and compare them with the committed ones
    Golden {
        /// Replace the committed goldens
        #[arg(long)]
        write: bool,
    },
    /// Compare decoded random JPEG files with Pillow's pixels (needs cjpeg and jpegtran)
    Jpeg(jpeg::Args),
    /// Compare the image decoders with Pillow on random files (`tiff` and `webp` need tiffcp and cwebp)
    Decoders {
        /// Arguments of tests/golden/compare_decoders.py: --count N, --seed N, --formats NAME..., --keep DIR
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        script_args: Vec<String>,
    },
    /// Ask a server with the bundled model through the packages of other projects, in Python and Rust
    Clients,
    /// Send random requests to a server with the bundled model: valid and invalid ones generated from its description
    Schemathesis(schemathesis::Args),
    /// Put mixed load on a server for a long time: wrong answers, leaks and a stuck server are failures (Linux)
    Soak(soak::Args),
    /// Run tests of llama.cpp's server against ours with the bundled model
    LlamaSuite,
    /// Use the server's page in Chromium, with the bundled model (needs npm and Chromium)
    Page,
    /// Let the bundled model generate JSON for 10,000 random schemas in f32 and q8, and measure the time that takes
    Constrain,
    /// Measure accuracy and calibration of decisions about 2,000 synthetic images of each kind
    Decide,
    /// Run the tests of the Python package, those of transformers on our processors included
    Python(python::Args),
    /// Run the recipes for clusters: Ray on two nodes, Daft, docling and LangChain with a server
    Ray,
    /// Fuzz the parsers of external bytes with libFuzzer
    Fuzz(fuzz::Args),
    /// Measure the errors of every device on the goldens and write them to docs/parity.md
    Parity {
        /// Further backends of the crate smolvlm, such as cuda
        backends: Vec<String>,
    },
    /// Pack what a machine with an NVIDIA GPU needs to run the tests and benchmarks without a compiler
    GpuBundle,
    /// Train the bundled model from scratch, which takes hours; continues where it was interrupted
    TrainDemo {
        /// Arguments of the training command of smolvlm-demo-train
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        training_args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::Demo => demo::run(),
        Task::Test { runner_args } => test::run(&runner_args),
        Task::Check => check::run(),
        Task::Ci => {
            test::run(&[]).and_then(|()| python::run_all()).and_then(|()| check::run()).and_then(|()| fuzz::run_all(20))
        }
        Task::Features => features::run(),
        Task::Arm(args) => arm::run(&args),
        Task::Golden { write } => golden::run(write),
        Task::Jpeg(args) => jpeg::run(&args),
        Task::Decoders { script_args } => decoders::run(&script_args),
        Task::Clients => clients::run(),
        Task::Schemathesis(args) => schemathesis::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::LlamaSuite => llama_suite::run(),
        Task::Page => page::run(),
        Task::Constrain => constrain::run(),
        Task::Decide => decide::run(),
        Task::Python(args) => python::run(&args),
        Task::Ray => python::run_ray(),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Parity { backends } => parity::run(&backends),
        Task::GpuBundle => gpu_bundle::run(),
        Task::TrainDemo { training_args } => train_demo::run(&training_args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        super::Args::command().debug_assert();
    }
}
