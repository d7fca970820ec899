//! `cargo xtask test`: what CI runs.

use crate::process::{execute, execute_with, features, succeeds};

/// Values of `SMOLVLM_ISA` that hide something that this processor has.
fn narrower() -> Vec<&'static str> {
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

/// Runs every test of the workspace; `rest` goes to the test runner.
pub fn run(rest: &[String]) -> Result<(), String> {
    // nextest runs each test in its own process, in parallel across crates; plain cargo is the fallback.
    let has_nextest = succeeds("cargo", &["nextest", "--version"]);
    let runner = if has_nextest { vec!["nextest", "run"] } else { vec!["test", "--all-targets"] };
    let features = features();
    let words = runner.iter().copied().chain(["--workspace"]).map(String::from);
    execute("cargo", words.chain(features.iter().cloned()).chain(rest.iter().cloned()))?;
    if rest.is_empty() {
        // The kernels and the goldens as processors without the newest instructions run them.
        for isa in narrower() {
            let targets =
                ["--workspace", "--exclude", "smolvlm-synth", "--lib", "--test", "stages", "--test", "conversations"];
            let words = runner.iter().copied().chain(targets);
            let words = words.filter(|word| *word != "--all-targets").map(String::from);
            execute_with(&[("SMOLVLM_ISA", isa)], "cargo", words.chain(features.iter().cloned()))?;
        }
    }
    if rest.is_empty() {
        // The crate without the library, too; it builds in seconds.
        execute("cargo", runner.into_iter().chain(["--package", "smolvlm-video"]))?;
    }
    if rest.is_empty() && features.iter().any(|words| words.contains("wgpu")) {
        crate::gpu_bundle::rehearse()?;
    }
    // The examples in the documentation are tests, too; nextest leaves them out.
    let words = ["test", "--workspace", "--doc", "--quiet"].map(String::from);
    execute("cargo", words.into_iter().chain(features))
}
