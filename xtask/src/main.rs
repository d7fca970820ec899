//! The workspace's own tasks. `cargo xtask` lists them.

mod arrows;
mod check;
mod decoders;
mod demo;
mod fuzz;
mod golden;
mod gpu_bundle;
mod jpeg;
mod parity;
mod process;
mod test;
mod train_demo;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <task>

  demo        build the release binary, ask the model that comes with it about pictures and a clip
  train-demo  train that model anew from nothing, for hours; goes on where it was interrupted
  test        every test of the workspace, as CI runs them
  golden      rebuild the goldens with the reference implementation and compare (--write replaces them)
  jpeg        compare decoded JPEG files with Pillow's pixels, 10,000 random ones or --files N
  decoders    compare image decoders with Pillow's on random files, a few minutes
  fuzz        fuzz what reads bytes from outside: all targets or those named, --seconds N each (20)
  parity      measure the errors of every device on the goldens, write them to docs/parity.md
  gpu-bundle  pack what a machine with an NVIDIA card needs to test and time everything, for one visit to it
  check       format, clippy, docs, and the arrows between crates
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next();
    let rest: Vec<String> = args.collect();
    let outcome = match task.as_deref() {
        Some("demo") => demo::run(&rest),
        Some("train-demo") => train_demo::run(&rest),
        Some("test") => test::run(&rest),
        Some("golden") => golden::run(&rest),
        Some("jpeg") => jpeg::run(&rest),
        Some("decoders") => decoders::run(&rest),
        Some("fuzz") => fuzz::run(&rest),
        Some("parity") => parity::run(&rest),
        Some("gpu-bundle") => gpu_bundle::run(),
        Some("check") => check::run(),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(format!("no task called '{other}'\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
