//! `cargo xtask python`: the tests of the Python package.

use crate::process::{execute, execute_with, features, python_environment, root, target};
use crate::server;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};

/// Folder of the crate.
const CRATE: &str = "crates/smolvlm-python";

#[derive(clap::Args)]
pub struct Args {
    /// Without the tests of transformers on our processors, which download it
    #[arg(long)]
    fast: bool,
    /// Arguments of pytest, for instance part of a test's name after -k
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pytest_args: Vec<String>,
}

/// All tests, as in CI; none where Python cannot install the packages that they compare with.
pub fn run_all() -> Result<(), String> {
    if environment().is_err() {
        eprintln!("> without the tests of the Python package: Python cannot install their packages");
        return Ok(());
    }
    run(&Args { fast: false, pytest_args: Vec::new() })
}

/// The programs of an environment with the pinned packages, made once.
fn environment() -> Result<PathBuf, String> {
    let packages = ["--requirement", &format!("{CRATE}/tests/requirements.txt")];
    python_environment(&root().join("target/python"), &packages)
}

/// Builds the compiled part, copies it beside the Python files, makes an environment with the pinned packages (once,
/// under `target/`), and runs the tests and the examples of the documentation.
pub fn run(args: &Args) -> Result<(), String> {
    let python = environment()?.join("python");
    build()?;
    let folder = root().join(CRATE).join("python").to_string_lossy().into_owned();
    let variables = [
        ("PYTHONPATH", folder.as_str()),
        // Mesa's software devices bring an LLVM that crashes that of torch, which is loaded later.
        ("VK_LOADER_DRIVERS_DISABLE", "*"),
        ("__EGL_VENDOR_LIBRARY_FILENAMES", "/dev/null"),
    ];
    let words = format!(
        "-m pytest --quiet --config-file {CRATE}/pyproject.toml --rootdir {CRATE} {CRATE}/python {CRATE}/tests"
    );
    let words = words.split_whitespace().map(str::to_owned);
    execute_with(&variables, &python, words.chain(args.pytest_args.iter().cloned()))?;
    if args.fast || !args.pytest_args.is_empty() {
        return Ok(());
    }
    let cache = target().join("transformers").to_string_lossy().into_owned();
    execute_with(
        &variables,
        &python,
        [format!("{CRATE}/tests/transformers_mixins/run.py"), "--cache".to_owned(), cache],
    )
}

/// Runs the recipes for clusters and servers: a Ray cluster of two nodes on this machine, and a server of the bundled
/// model.
pub fn run_ray() -> Result<(), String> {
    let tests = format!("{CRATE}/tests/ray");
    let packages = ["--requirement", &format!("{tests}/requirements.txt")];
    let python = python_environment(&root().join("target/ray-python"), &packages)?.join("python");
    build()?;
    server::build()?;
    let folder = root().join(CRATE).join("python").to_string_lossy().into_owned();
    let command = target().join("debug/smolvlm").to_string_lossy().into_owned();
    let variables = [("PYTHONPATH", folder.as_str()), ("SMOLVLM", command.as_str())];
    execute_with(&variables, &python, ["-m", "pytest", "--quiet", &tests])
}

/// Builds the compiled part with the features of the other tests, so that nothing else is built again, and copies it
/// beside the Python files.
pub fn build() -> Result<PathBuf, String> {
    let words = ["build", "--workspace", "--tests", "--lib", "--quiet"].map(String::from);
    execute("cargo", words.into_iter().chain(features()))?;
    let built = target().join("debug").join(format!("{DLL_PREFIX}smolvlm_native{DLL_SUFFIX}"));
    let module = root().join(CRATE).join("python/smolvlm").join(format!("_native{}", suffix()));
    replace(&built, &module)
        .map_err(|error| format!("cannot copy {} to {}: {error}", built.display(), module.display()))?;
    Ok(module)
}

/// Replaces a file that a running interpreter may have loaded.
fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    let new = to.with_extension("new");
    fs::copy(from, &new)?;
    fs::rename(new, to)
}

/// The ending of extension modules for all versions of Python.
fn suffix() -> &'static str {
    if cfg!(windows) { ".pyd" } else { ".abi3.so" }
}
