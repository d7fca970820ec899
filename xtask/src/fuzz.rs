//! `cargo xtask fuzz`: libFuzzer over everything that reads bytes from outside.

use clap::builder::PossibleValuesParser;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::process::{execute, execute_with, root, target};

/// Each target with the folders of real files that it starts from, besides `tests/fuzz/seeds/TARGET`.
const TARGETS: &[(&str, &[&str])] = &[
    ("jpeg", &["tests/golden/media"]),
    ("image", &["tests/golden/media", "tests/golden/media/modes", "tests/golden/media/decoders"]),
    ("animation", &["tests/golden/media/decoders"]),
    ("config", &["tests/golden/gqa-256m", "tests/golden/legacy"]),
    ("template", &[]),
    ("tokenizer", &["tests/golden/gqa-256m"]),
    ("conversation", &[]),
    ("weights", &["tests/golden/gqa-256m/model", "tests/golden/adapters"]),
    ("gguf", &["crates/smolvlm-checkpoint/tests/data/gguf"]),
    ("shard_index", &[]),
    ("doctags", &["crates/smolvlm-doctags/tests/golden"]),
    ("video_index", &["tests/corpus/clips"]),
];

/// Flags that make the compiler count edges and comparisons for libFuzzer, as cargo-fuzz passes them.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Largest input. Real files are cut or left out, so that many inputs are tried in a second.
const MAX_BYTES: usize = 16 << 10;

#[derive(clap::Args)]
pub struct Args {
    /// Targets; all of them if none is named
    #[arg(value_parser = PossibleValuesParser::new(TARGETS.iter().map(|(name, _)| *name)))]
    targets: Vec<String>,
    /// Seconds per target
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Seed of the inputs; another one each time if it is 0
    #[arg(long, default_value_t = 0)]
    seed: u32,
}

/// Runs all targets, each time with about the same inputs, so that a failure is that of a change.
pub fn run_all(seconds: u32) -> Result<(), String> {
    run(&Args { targets: Vec::new(), seconds, seed: 1 })
}

/// Builds all targets and runs the selected ones.
pub fn run(args: &Args) -> Result<(), String> {
    let folder = target().join("fuzz");
    let folder_name = folder.to_string_lossy().into_owned();
    // A target triple keeps the flags away from build scripts and procedural macros.
    let triple = host_triple()?;
    let flags = FLAGS.join("\x1f");
    let variables = [("CARGO_ENCODED_RUSTFLAGS", flags.as_str()), ("CARGO_TARGET_DIR", folder_name.as_str())];
    let build = ["build", "--release", "--manifest-path", "tests/fuzz/Cargo.toml", "--target", &triple];
    execute_with(&variables, "cargo", build)?;
    let selected = |name: &str| args.targets.is_empty() || args.targets.iter().any(|target| target == name);
    let targets: Vec<_> = TARGETS.iter().filter(|(name, _)| selected(name)).collect();
    // One target per core at a time.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((name, seeds)) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            fuzz(name, seeds, &folder.join(&triple).join("release").join(name), &folder, args)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked".to_owned())?)
    })
}

fn fuzz(name: &str, seeds: &[&str], binary: &Path, folder: &Path, args: &Args) -> Result<(), String> {
    // What the fuzzer finds worth keeping goes to the first folder, the others are only read.
    let corpus = folder.join("corpus").join(name);
    let failures = folder.join("failures").join(name);
    for folder in [&corpus, &failures] {
        fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    }
    let own = root().join("tests/fuzz/seeds").join(name);
    let seeds = seeds.iter().map(|seeds| root().join(seeds)).chain([own]).filter(|folder| folder.is_dir());
    let folders = [corpus].into_iter().chain(seeds).map(|folder| folder.to_string_lossy().into_owned());
    let options = [
        format!("-max_total_time={}", args.seconds),
        format!("-seed={}", args.seed),
        format!("-max_len={MAX_BYTES}"),
        "-timeout=25".to_owned(),
        "-rss_limit_mb=2048".to_owned(),
        "-print_final_stats=1".to_owned(),
        "-verbosity=0".to_owned(),
        format!("-artifact_prefix={}/", failures.display()),
    ];
    execute(binary, options.into_iter().chain(folders))
        .map_err(|error| format!("{error}\nthe failing input is in {}", failures.display()))
}

fn host_triple() -> Result<String, String> {
    let output = Command::new("rustc").args(["--print", "host-tuple"]).output();
    let output = output.map_err(|error| format!("cannot start rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
