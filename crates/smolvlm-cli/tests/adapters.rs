//! Adapters on the command line.

mod support;

use serde_json::Value;
use std::path::Path;
use support::Workspace;

fn golden(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name).to_string_lossy().into_owned()
}

/// The token ids of the answer to a question without images.
fn tokens(workspace: &Workspace, flags: &[&str]) -> Value {
    let question = r#"[{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]"#;
    let path = workspace.write("question.json", question.as_bytes());
    let command = ["generate", "--json", "--max-new-tokens", "12", "--conversation", &path];
    let output = workspace.run(&[&command, flags].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["token_ids"].clone()
}

#[test]
fn adapters_load_by_flag_and_by_folder() {
    let workspace = Workspace::empty();
    let expected: Value = serde_json::from_slice(&std::fs::read(golden("adapters/expected.json")).unwrap()).unwrap();
    let wanted = |name: &str| expected[name]["answers"][1]["generated"].clone();
    let (base, plain) = (golden("gqa-256m/model"), golden("adapter"));
    let f32 = ["--dtype", "f32", "--greedy"];
    let with = |flags: &[&str]| tokens(&workspace, &[&f32, flags].concat());
    assert_eq!(with(&["--model", &base, "--adapter", &plain]), wanted("adapter"));
    let (half, other) = (format!("{plain}=0.5"), format!("{}=-0.75", golden("adapters/patterns")));
    assert_eq!(with(&["--model", &base, "--adapter", &half, "--adapter", &other]), wanted("two"));
    assert_eq!(with(&["--model", &golden("adapters/module")]), wanted("module"));

    let out = workspace.path("quantized");
    let quantize = ["quantize", "--model", &base, "--adapter", &plain, "--dtype", "q8", "--out", &out];
    assert!(workspace.run(&quantize).status.success());
    let loaded = tokens(&workspace, &["--greedy", "--model", &base, "--adapter", &plain, "--dtype", "q8"]);
    assert_eq!(tokens(&workspace, &["--greedy", "--model", &out]), loaded);
}

#[test]
fn incompatible_adapters_are_one_line_errors_with_a_hint() {
    let workspace = Workspace::with_checkpoint();
    let run = |flags: &[&str]| {
        let output = workspace.run(&[&["describe", "no-such.png"], flags].concat());
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let other = run(&["--model", &workspace.checkpoint(), "--adapter", &golden("adapter")]);
    assert!(other.contains("adapter of another model") && other.lines().count() == 1, "{other}");
    assert!(run(&["--model", &golden("adapter")]).contains("give its base model with --model"));
    assert!(run(&["--model", "demo", "--adapter", "x=y"]).contains("DIR=WEIGHT"));
}

#[cfg(feature = "train")]
#[test]
fn an_adapter_written_by_train_can_be_loaded() {
    let workspace = Workspace::empty();
    let base = golden("gqa-256m/model");
    let data = workspace.write(
        "data.jsonl",
        br#"[{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}, {"role": "assistant", "content": [{"type": "text", "text": "A pen."}]}]"#,
    );
    let out = workspace.path("trained");
    let flags =
        ["--lora", "--steps", "60", "--batch-size", "1", "--warmup", "1", "--learning-rate", "0.05", "--threads", "1"];
    let output = workspace.run(&[&["train", "--model", &base, "--data", &data, "--out", &out], &flags[..]].concat());
    assert!(output.status.success(), "{output:?}");
    let checkpoint = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let f32 = ["--dtype", "f32", "--greedy"];
    let by_folder = tokens(&workspace, &[&f32[..], &["--model", &checkpoint]].concat());
    assert_eq!(by_folder, tokens(&workspace, &[&f32[..], &["--model", &base, "--adapter", &checkpoint]].concat()));
    assert_ne!(by_folder, tokens(&workspace, &[&f32[..], &["--model", &base]].concat()));
}
