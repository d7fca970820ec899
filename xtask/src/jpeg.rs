//! `cargo xtask jpeg`: decoded JPEG files against Pillow's pixels.

use crate::process::{execute, python_environment, root, text};

#[derive(clap::Args)]
pub struct Args {
    /// Number of files
    #[arg(long, default_value_t = 10_000)]
    files: u32,
    /// Seed of the random files
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Makes random files with Pillow and libjpeg-turbo's tools, decodes them and compares. Files that differ are left in
/// `target/jpeg`.
pub fn run(args: &Args) -> Result<(), String> {
    let folder = root().join("target/jpeg");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let python = python_environment(&folder.join("python"), &["pillow==13.0.0", "numpy"])?.join("python");
    let pack = folder.join("pack");
    let (files, seed) = (args.files.to_string(), args.seed.to_string());
    execute(&python, ["tests/bench/jpeg_files.py", &text(&pack), "--files", &files, "--seed", &seed])?;
    let example = ["run", "--quiet", "--package", "smolvlm-image", "--example", "jpeg_parity", "--"];
    execute("cargo", example.map(str::to_owned).iter().chain(&[text(&pack), text(&folder)]))
}
