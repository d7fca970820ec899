//! Runs of `batch` and their output.

use super::Workspace;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

/// Settings of a small and fast model.
pub const SETTINGS: [&str; 4] = ["--random", "tiny", "--max-new-tokens", "3"];

/// The arguments of a run.
pub fn args<'a>(input: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["batch", input, "--out", out], &SETTINGS[..], more].concat()
}

/// Runs the command and returns its output.
pub fn run(workspace: &Workspace, input: &str, out: &str, more: &[&str]) -> Output {
    workspace.run(&args(input, out, more))
}

/// Runs the command, which must succeed, and returns its stderr.
pub fn succeeds(workspace: &Workspace, input: &str, out: &str, more: &[&str]) -> String {
    let output = run(workspace, input, out, more);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{input} {more:?}: {stderr}");
    stderr
}

/// The part files of a folder by name. Other files are locks, journals and the manifest.
pub fn files(workspace: &Workspace, out: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(workspace.path(out)).unwrap().map(|entry| entry.unwrap());
    let parts = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".jsonl"));
    parts.map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())).collect()
}

/// All rows of a folder, in the order of its files.
pub fn rows(workspace: &Workspace, out: &str) -> Vec<Value> {
    let files = files(workspace, out);
    let lines = files.values().flat_map(|text| {
        assert!(text.ends_with('\n'));
        text.lines()
    });
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The values of a key of all rows.
pub fn values(rows: &[Value], key: &str) -> Vec<Value> {
    rows.iter().map(|row| row[key].clone()).collect()
}

/// Lines of JSON.
pub fn lines(rows: impl IntoIterator<Item = Value>) -> String {
    rows.into_iter().map(|row| format!("{row}\n")).collect()
}
