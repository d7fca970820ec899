//! `cargo xtask check`: format, spelling, style of Python, dependencies between crates, licenses, packages, vectorized
//! code, clippy, rustdoc.

use crate::features::{WITHOUT_DOWNLOADS, every_backend};
use crate::process::{cargo, execute, execute_with, python_environment, root, succeeds};
use crate::{dependencies, vectorized};

/// Runs all checks; the cheap ones first.
pub fn run() -> Result<(), String> {
    cargo("fmt --all --check")?;
    spelling()?;
    python_style()?;
    dependencies::check()?;
    licenses()?;
    package()?;
    vectorized::check()?;
    // Without FFmpeg's libraries; the crates below Burn are quick to build.
    cargo("clippy --package smolvlm-video --package smolvlm-processor --quiet -- --deny warnings")?;
    // One set of features for clippy and rustdoc, so that Burn is checked once. Unlike the variable RUSTDOCFLAGS, the
    // option does not rebuild dependencies.
    let features = every_backend();
    for words in [
        format!("clippy --workspace --all-targets --quiet --features {features} -- --deny warnings"),
        format!(
            "--config build.rustdocflags=[\"--deny=warnings\"] doc --workspace --no-deps --quiet --features {features}"
        ),
    ] {
        execute_with(&WITHOUT_DOWNLOADS, "cargo", words.split_whitespace())?;
    }
    Ok(())
}

/// Spelling, with the program `typos`, which its Python package contains.
fn spelling() -> Result<(), String> {
    if succeeds("typos", &["--version"]) {
        return execute("typos", ["--config", ".typos.toml"]);
    }
    let Ok(programs) = python_environment(&root().join("target/typos"), &["typos==1.52.0"]) else {
        eprintln!("> without a spell check: there is no `typos`, and Python cannot install it");
        return Ok(());
    };
    execute(programs.join("typos"), ["--config", ".typos.toml"])
}

/// Format and lints of the Python package.
fn python_style() -> Result<(), String> {
    let Ok(programs) = python_environment(&root().join("target/ruff"), &["ruff==0.17.6"]) else {
        eprintln!("> without a check of the Python package: Python cannot install ruff");
        return Ok(());
    };
    let ruff = programs.join("ruff");
    execute(&ruff, ["check", "--quiet", "crates/smolvlm-python"])?;
    execute(&ruff, ["format", "--check", "--quiet", "crates/smolvlm-python"])
}

/// Licenses, sources and known faults of dependencies, with cargo-deny where it is installed. GitHub's workflow has it.
fn licenses() -> Result<(), String> {
    if !succeeds("cargo", &["deny", "--version"]) {
        eprintln!("> without a check of licenses: there is no cargo-deny");
        return Ok(());
    }
    cargo("deny --config .cargo/deny.toml check bans licenses sources")
}

/// Packages every crate that is published, as for a registry, without building the packages.
fn package() -> Result<(), String> {
    let unpublished = ["xtask", "smolvlm-tests", "smolvlm-synth", "smolvlm-demo-train", "smolvlm-python"];
    let exclude = unpublished.map(|name| format!("--exclude {name}")).join(" ");
    cargo(&format!("package --locked --workspace {exclude} --no-verify --allow-dirty --quiet"))
}
