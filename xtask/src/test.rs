//! `cargo xtask test`: every test, or those that arguments select.

use crate::process::{execute, execute_with, features, succeeds};

/// Runs every test of the workspace as CI does; with arguments, one run of the test runner with these.
pub fn run(runner_args: &[String]) -> Result<(), String> {
    // nextest runs each test in its own process, in parallel across crates; plain cargo is the fallback.
    let has_nextest = succeeds("cargo", &["nextest", "--version"]);
    let runner = if has_nextest { ["nextest", "run"].as_slice() } else { ["test"].as_slice() };
    let features = features();
    let run_with = |variables: &[(&str, &str)], selection: &[&str], features: &[String]| {
        let words = runner.iter().chain(selection).map(|word| word.to_string());
        execute_with(variables, "cargo", words.chain(features.iter().cloned()).chain(runner_args.iter().cloned()))
    };
    let all_targets = if has_nextest { [].as_slice() } else { ["--all-targets"].as_slice() };
    run_with(&[], &[["--workspace"].as_slice(), all_targets].concat(), &features)?;
    if !runner_args.is_empty() {
        return Ok(());
    }
    // As on processors without the newest instructions: kernels with each set, goldens with the last one.
    let narrower = narrower_isas();
    for isa in &narrower {
        run_with(&[("SMOLVLM_ISA", isa)], &["--package", "smolvlm-kernels", "--lib"], &[])?;
    }
    if let Some(isa) = narrower.last() {
        let goldens = ["--workspace", "--test", "goldens"];
        run_with(&[("SMOLVLM_ISA", isa)], &goldens, &features)?;
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

/// Values of `SMOLVLM_ISA` that hide instructions of this processor, `avx2` last if it is one of them: most processors
/// have no more.
fn narrower_isas() -> Vec<&'static str> {
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "other processors have one set"))]
    let mut found = vec!["baseline"];
    #[cfg(target_arch = "x86_64")]
    {
        if std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|cpu| cpu.contains("amx_bf16")) {
            found.push("avx512bf16");
        }
        if std::arch::is_x86_feature_detected!("avx512vnni") || std::arch::is_x86_feature_detected!("avx512bf16") {
            found.push("avx512");
        }
        if std::arch::is_x86_feature_detected!("avxvnni") && std::arch::is_x86_feature_detected!("avx512f") {
            found.push("avxvnni");
        }
        if std::arch::is_x86_feature_detected!("avx512f") || std::arch::is_x86_feature_detected!("avxvnni") {
            found.push("avx2");
        }
    }
    found
}
