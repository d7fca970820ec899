//! GGUF files on the command line.

mod support;

use serde_json::{Value, json};
use std::fs;
use support::batch::lines;
use support::{Workspace, harbour};

/// The token ids of the greedy answer to a question about an image, or without one.
fn tokens(workspace: &Workspace, image: bool, flags: &[&str]) -> Value {
    let image = if image { r#"{"type": "image", "path": "harbour.jpg"}, "# } else { "" };
    let text = format!(r#"[{{"role": "user", "content": [{image}{{"type": "text", "text": "What is it?"}}]}}]"#);
    let path = workspace.write("question.json", text.as_bytes());
    let command = ["generate", "--json", "--greedy", "--max-new-tokens", "12", "--resize", "global-only"];
    let answer = workspace.succeeds(&[&command, ["--conversation", &path].as_slice(), flags].concat());
    serde_json::from_str::<Value>(&answer).unwrap()["token_ids"].clone()
}

/// Files in f32 give the answers of the checkpoint that they were made from, from a folder and as files.
#[test]
fn exported_files_give_the_same_answers() {
    let workspace = Workspace::with_checkpoint();
    workspace.write("harbour.jpg", &harbour());
    let quantize = ["quantize", "--model", "checkpoint", "--format", "gguf", "--out", "gguf"];
    workspace.succeeds(&[&quantize, ["--dtype", "f32", "--mmproj-dtype", "f32"].as_slice()].concat());
    let files = ["--model", "gguf/model-F32.gguf", "--mmproj", "gguf/mmproj-F32.gguf"];
    for image in [false, true] {
        let of = |flags: &[&str]| tokens(&workspace, image, &[flags, ["--dtype", "f32"].as_slice()].concat());
        let expected = of(&["--model", "checkpoint"]);
        assert_eq!(of(&["--model", "gguf"]), expected);
        assert_eq!(of(&files), expected);
    }
    let alone = ["--model", "gguf/model-F32.gguf"];
    let whole = tokens(&workspace, false, &["--model", "checkpoint", "--dtype", "f32"]);
    assert_eq!(tokens(&workspace, false, &[&alone, ["--dtype", "f32"].as_slice()].concat()), whole);
    for command in [
        ["describe", "harbour.jpg"].as_slice(),
        &["decide", "harbour.jpg", "--yes-no", "Is it a harbor?"],
        &["document", "harbour.jpg", "--out", "page.md"],
    ] {
        let error = workspace.fails(&[command, &alone].concat());
        assert!(error.contains("takes text only") && error.contains("--mmproj"), "{error}");
    }
}

/// A batch is not resumed with another text model or mmproj file; other files next to named ones do not matter.
#[test]
fn batch_of_other_files_is_refused() {
    let workspace = Workspace::with_checkpoint();
    let messages = json!([{"role": "user", "content": "What is it?"}]);
    workspace.write("in.jsonl", lines([json!({"messages": messages})]).as_bytes());
    for (name, dtype) in [("gguf", "f32"), ("other", "f16")] {
        let quantize = ["quantize", "--model", "checkpoint", "--format", "gguf", "--out", name];
        workspace.succeeds(&[&quantize, ["--dtype", dtype, "--mmproj-dtype", dtype].as_slice()].concat());
    }
    let args = |out, files: &[&'static str]| {
        [&["batch", "in.jsonl", "--out", out, "--max-new-tokens", "3", "--dtype", "f32", "--model"], files].concat()
    };
    let files = ["gguf/model-F32.gguf", "--mmproj", "gguf/mmproj-F32.gguf"];
    workspace.succeeds(&args("named", &files));
    workspace.succeeds(&args("folder", &["gguf"]));
    fs::copy(workspace.path("gguf/mmproj-F32.gguf"), workspace.path("mmproj.gguf")).unwrap();
    let error = workspace.fails(&args("named", &["gguf/model-F32.gguf", "--mmproj", "mmproj.gguf"]));
    assert!(error.contains("model.mmproj was \"gguf/mmproj-F32.gguf\", is \"mmproj.gguf\""), "{error}");
    fs::copy(workspace.path("other/mmproj-F16.gguf"), workspace.path("gguf/unrelated.gguf")).unwrap();
    workspace.succeeds(&args("named", &files));
    fs::remove_file(workspace.path("gguf/unrelated.gguf")).unwrap();
    fs::copy(workspace.path("other/model-F16.gguf"), workspace.path("gguf/model-F32.gguf")).unwrap();
    for command in [args("named", &files), args("folder", &["gguf"])] {
        let error = workspace.fails(&command);
        assert!(error.contains("model.hash was"), "{error}");
    }
}

#[test]
fn wrong_files_are_one_line_errors() {
    let workspace = Workspace::with_checkpoint();
    workspace.write("bad.gguf", b"GGUF");
    workspace.write("harbour.jpg", &harbour());
    let fails = |flags: &[&str]| workspace.fails(&[&["describe", "harbour.jpg"], flags].concat());
    assert!(fails(&["--model", "bad.gguf"]).contains("bad.gguf: the header is not complete"));
    assert!(fails(&["--model", "checkpoint", "--mmproj", "bad.gguf"]).contains("'checkpoint' is not one"));
    let quantize = |flags: &[&str]| {
        let command = ["quantize", "--model", "checkpoint", "--format", "gguf", "--out", "gguf"];
        workspace.fails(&[&command, flags].concat())
    };
    assert!(quantize(&["--dtype", "q5_0"]).contains("q4_0"));
    assert!(quantize(&["--dtype", "q8_0", "--mmproj-dtype", "q4_0"]).contains("bf16"));
    assert_eq!(workspace.names(), ["bad.gguf", "checkpoint", "harbour.jpg"]);
}
