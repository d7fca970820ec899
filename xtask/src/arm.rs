//! `cargo xtask arm`: tests of the CPU kernels on emulated ARM64 processors.
//!
//! An emulator shows that results are right and that processors execute only instructions that they have. It says
//! nothing about speed, so the machine code is checked for calls within kernels, which would keep sums in memory.

use crate::process::{disassemble, execute_with, succeeds, target};
use std::path::Path;
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Processors with all instructions that kernels are selected by, with dot products of bytes only, and without any.
const PROCESSORS: [&str; 3] = ["max", "neoverse-n1", "cortex-a72"];

/// Debian's names of what this task needs.
const PACKAGES: &str = "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static";

#[derive(clap::Args)]
pub struct Args {
    /// Also type-check the library and its CPU engine, which compiles Burn
    #[arg(long)]
    library: bool,
}

/// Runs the tests on each processor.
pub fn run(args: &Args) -> Result<(), String> {
    let rustc = compiler()?;
    for (program, option) in [("aarch64-linux-gnu-gcc", "--version"), ("qemu-aarch64-static", "--version")] {
        if !succeeds(program, &[option]) {
            return Err(format!("there is no {program}; install {PACKAGES}"));
        }
    }
    let variables = [
        ("RUSTC", rustc.as_str()),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc"),
        ("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc"),
        // With the dynamic C library, the emulator hangs at the first thread.
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static"),
    ];
    let cargo = |extra: &[(&str, &str)], words: &str| {
        let words = format!("{words} --target {TARGET} --quiet");
        execute_with(&[&variables, extra].concat(), "cargo", words.split_whitespace())
    };
    for processor in PROCESSORS {
        let runner = format!("qemu-aarch64-static -cpu {processor}");
        let runner = ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner.as_str());
        cargo(&[runner], "test --package smolvlm-kernels --lib")?;
    }
    cargo(&[], "build --package smolvlm-kernels")?;
    check_calls(&target().join(TARGET).join("debug/libsmolvlm_kernels.rlib"))?;
    if args.library {
        cargo(&[], "check --package smolvlm")?;
    }
    Ok(())
}

/// A compiler with the standard library of the target: the usual one, or the system's.
fn compiler() -> Result<String, String> {
    let usual = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let has_library = |rustc: &String| {
        let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
        output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists())
    };
    [usual, "/usr/bin/rustc".to_owned()].into_iter().find(has_library).ok_or_else(|| {
        format!(
            "no compiler has the standard library of {TARGET}: `rustup target add {TARGET}`, or Debian's \
             libstd-rust-web-dev:arm64 with rustc-web"
        )
    })
}

/// Checks the kernels in a library for calls of functions that should be inlined.
fn check_calls(library: &Path) -> Result<(), String> {
    let (checked, calls) = calls(&disassemble("aarch64-linux-gnu-objdump", library)?);
    if checked == 0 {
        return Err(format!("no kernels for NEON in {}", library.display()));
    }
    if calls.is_empty() { Ok(()) } else { Err(format!("not inlined:\n{}", calls.join("\n"))) }
}

/// The number of functions of NEON kernels in a disassembly, and their calls of others than whole kernels.
fn calls(assembly: &str) -> (usize, Vec<String>) {
    let (mut checked, mut calls) = (0, Vec::new());
    for function in assembly.split("\n\n") {
        let mut lines = function.lines().skip_while(|line| !line.ends_with(">:"));
        let Some(name) = lines.next().filter(|name| name.contains("::neon::")) else { continue };
        checked += 1;
        // The line after a call names what it calls.
        let called = lines.filter(|line| line.contains("R_AARCH64_CALL26") && line.contains("::neon::"));
        let inner = called.filter(|line| !line.ends_with("::kernel"));
        calls.extend(inner.map(|line| format!("{name} calls {}", line.trim())));
    }
    (checked, calls)
}

#[cfg(test)]
mod tests {
    use super::calls;

    #[test]
    fn calls_within_kernels_are_found() {
        let tile = "0 <a::neon::tile>:\n 1:\tbl 0\n\t1: R_AARCH64_CALL26\ta::neon::tile::kernel\n";
        let good = "0 <a::neon::tile::kernel>:\n 1:\tbl 0\n\t1: R_AARCH64_CALL26\tcore::panicking::panic\n";
        let calling = "0 <a::neon::b::kernel>:\n 1:\tbl 0\n\t1: R_AARCH64_CALL26\ta::neon::b::{{closure}}\n";
        let (checked, found) = calls(&[tile, good, calling, "0 <a::other>:\n 1:\tret\n"].join("\n"));
        assert_eq!((checked, found.len()), (3, 1), "{found:?}");
    }
}
