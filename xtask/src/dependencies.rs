//! The dependencies between crates in `docs/architecture.md`, checked against those that cargo sees.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Allowed dependencies between the workspace's crates. A crate that is not listed may not exist.
const ALLOWED: &[(&str, &[&str])] = &[
    ("smolvlm-config", &[]),
    ("smolvlm-doctags", &[]),
    ("smolvlm-files", &[]),
    ("smolvlm-image", &["smolvlm-config"]),
    ("smolvlm-video", &["smolvlm-config", "smolvlm-image"]),
    ("smolvlm-processor", &["smolvlm-config", "smolvlm-image", "smolvlm-video"]),
    ("smolvlm-kernels", &[]),
    ("smolvlm-checkpoint", &["smolvlm-config", "smolvlm-files", "smolvlm-kernels"]),
    ("smolvlm-nn", &["smolvlm-config", "smolvlm-kernels"]),
    ("smolvlm-vision", &["smolvlm-config", "smolvlm-kernels", "smolvlm-nn"]),
    ("smolvlm-connector", &["smolvlm-config", "smolvlm-kernels", "smolvlm-nn"]),
    ("smolvlm-text", &["smolvlm-config", "smolvlm-kernels", "smolvlm-nn"]),
    (
        "smolvlm-model",
        &[
            "smolvlm-checkpoint",
            "smolvlm-config",
            "smolvlm-kernels",
            "smolvlm-nn",
            "smolvlm-vision",
            "smolvlm-connector",
            "smolvlm-text",
        ],
    ),
    ("smolvlm-generate", &["smolvlm-config"]),
    ("smolvlm-demo", &[]),
    ("smolvlm-hub", &[]),
    (
        "smolvlm",
        &[
            "smolvlm-checkpoint",
            "smolvlm-config",
            "smolvlm-files",
            "smolvlm-image",
            "smolvlm-processor",
            "smolvlm-kernels",
            "smolvlm-model",
            "smolvlm-generate",
            "smolvlm-demo",
            "smolvlm-hub",
        ],
    ),
    (
        "smolvlm-train",
        &["smolvlm-checkpoint", "smolvlm-config", "smolvlm-files", "smolvlm-nn", "smolvlm-model", "smolvlm-processor"],
    ),
    ("smolvlm-server", &["smolvlm"]),
    ("smolvlm-cli", &["smolvlm", "smolvlm-doctags", "smolvlm-files", "smolvlm-server", "smolvlm-train"]),
    ("smolvlm-python", &["smolvlm", "smolvlm-cli"]),
    ("smolvlm-synth", &[]),
];

/// Crates that must not see Burn, directly or through others.
const WITHOUT_BURN: &[&str] = &[
    "smolvlm-checkpoint",
    "smolvlm-config",
    "smolvlm-doctags",
    "smolvlm-files",
    "smolvlm-kernels",
    "smolvlm-image",
    "smolvlm-video",
    "smolvlm-processor",
    "smolvlm-generate",
    "smolvlm-demo",
    "smolvlm-hub",
    "smolvlm-synth",
];

/// Members that are not part of the product and may look at all of it.
const OUTSIDE: &[&str] = &["xtask", "smolvlm-tests", "smolvlm-demo-train"];

/// Compares `cargo metadata` with the table; the error lists all dependencies that are not allowed.
pub fn check() -> Result<(), String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(crate::process::root())
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let wrong = violations(&metadata);
    if wrong.is_empty() {
        eprintln!("> dependencies between {} crates are as allowed", ALLOWED.len());
        Ok(())
    } else {
        Err(format!("dependencies that docs/architecture.md does not have:\n  {}", wrong.join("\n  ")))
    }
}

fn violations(metadata: &Value) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let is_member = |package: &&Value| package["id"].as_str().is_some_and(|id| members.contains(id));
    let names: BTreeSet<&str> = packages.iter().filter(is_member).filter_map(|p| p["name"].as_str()).collect();

    let mut wrong = Vec::new();
    for package in packages.iter().filter(is_member) {
        let name = package["name"].as_str().unwrap_or_default();
        if OUTSIDE.contains(&name) {
            continue;
        }
        let Some(targets) = allowed.get(name) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        for dependency in package["dependencies"].as_array().map_or(&[][..], Vec::as_slice) {
            let to = dependency["name"].as_str().unwrap_or_default();
            let only_tests = dependency["kind"].as_str() == Some("dev");
            if names.contains(to) && !only_tests && !targets.contains(&to) {
                wrong.push(format!("{name} -> {to}"));
            }
            if WITHOUT_BURN.contains(&name) && to.starts_with("burn") {
                wrong.push(format!("{name} -> {to} (no Burn there)"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::violations;
    use serde_json::json;

    fn metadata(name: &str, dependency: &str, kind: Option<&str>) -> serde_json::Value {
        json!({
            "workspace_members": ["a", "b"],
            "packages": [
                {"id": "a", "name": name, "dependencies": [{"name": dependency, "kind": kind}]},
                {"id": "b", "name": "smolvlm-model", "dependencies": []},
            ],
        })
    }

    #[test]
    fn wrong_dependencies_and_uses_of_burn_are_found() {
        assert_eq!(violations(&metadata("smolvlm", "smolvlm-model", None)), Vec::<String>::new());
        assert_eq!(violations(&metadata("smolvlm-config", "smolvlm-model", None)), ["smolvlm-config -> smolvlm-model"]);
        assert_eq!(violations(&metadata("smolvlm-config", "smolvlm-model", Some("dev"))), Vec::<String>::new());
        assert_eq!(violations(&metadata("smolvlm-image", "burn-flex", None)).len(), 1);
        assert_eq!(violations(&metadata("smolvlm-new", "serde", None)), ["smolvlm-new is not in the table"]);
    }
}
