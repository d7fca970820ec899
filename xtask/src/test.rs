//! `cargo xtask test`: every test, or those that arguments select.

use crate::process::{execute, execute_with, features, succeeds};

/// Runs every test of the workspace as CI does; with arguments, one run of the test runner with these.
pub fn run(runner_args: &[String]) -> Result<(), String> {
    // nextest runs each test in its own process, in parallel across crates; plain cargo is the fallback.
    let has_nextest = succeeds("cargo", &["nextest", "--version"]);
    let runner = if has_nextest { ["nextest", "run"].as_slice() } else { ["test"].as_slice() };
    let features = features();
    let run = |variables: &[(&str, &str)], selection: &[&str]| {
        let words = runner.iter().chain(selection).map(|word| word.to_string());
        execute_with(variables, "cargo", words.chain(features.iter().cloned()).chain(runner_args.iter().cloned()))
    };
    let all_targets = if has_nextest { [].as_slice() } else { ["--all-targets"].as_slice() };
    run(&[], &[["--workspace"].as_slice(), all_targets].concat())?;
    if !runner_args.is_empty() {
        return Ok(());
    }
    // Kernels and goldens as processors without the newest instructions run them.
    for isa in narrower_isas() {
        run(
            &[("SMOLVLM_ISA", isa)],
            &["--workspace", "--exclude", "smolvlm-synth", "--lib", "--test", "stages", "--test", "conversations"],
        )?;
    }
    // Without FFmpeg's libraries; it builds in seconds.
    execute("cargo", runner.iter().chain(&["--package", "smolvlm-video"]).copied())?;
    if features.iter().any(|words| words.contains("wgpu")) {
        crate::gpu_bundle::rehearse()?;
    }
    crate::examples::run(&features)?;
    // Doctests, which nextest does not run.
    let words = ["test", "--workspace", "--doc", "--quiet"].map(String::from);
    execute("cargo", words.into_iter().chain(features))
}

/// Values of `SMOLVLM_ISA` that hide something that this processor has.
fn narrower_isas() -> Vec<&'static str> {
    let mut found = vec!["baseline"];
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            found.push("avx2");
        }
        if std::arch::is_x86_feature_detected!("avx512vnni") || std::arch::is_x86_feature_detected!("avx512bf16") {
            found.push("avx512");
        }
    }
    found
}
