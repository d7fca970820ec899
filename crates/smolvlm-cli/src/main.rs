//! The `smolvlm` command.

use std::process::ExitCode;

// Tensors of several megabytes are allocated and freed often: the system allocator maps each anew, with page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    smolvlm_cli::run(std::env::args_os()).into()
}
