//! Every command, end to end, on a small random checkpoint.

mod support;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use support::{Workspace, harbour};

const CHATS: &str = r#"[
  [{"role": "user", "content": [{"type": "image", "path": "harbour.jpg"}, {"type": "text", "text": "What is this?"}]}],
  [{"role": "user", "content": [{"type": "text", "text": "Only words."}]}]
]"#;

fn workspace() -> Workspace {
    let workspace = Workspace::with_checkpoint();
    workspace.write("harbour.jpg", &harbour());
    workspace.write("chats.json", CHATS.as_bytes());
    workspace
}

#[test]
fn describe_prints_answers_to_stdout_and_timings_to_stderr() {
    let workspace = workspace();
    let args = ["describe", "harbour.jpg", "--model", "checkpoint", "--max-new-tokens", "4", "--threads", "2"];
    let output = workspace.run(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().ends_with('\n'));
    let times = String::from_utf8(output.stderr).unwrap();
    assert!(times.contains("prompt tokens") && times.contains("prefill"), "{times}");
    // The result of `auto` depends on the CPU.
    assert!(times.trim_end().ends_with("; f32") || times.trim_end().ends_with("; bf16"), "{times}");
}

#[test]
fn devices_lists_all_devices_and_marks_the_choice_of_auto() {
    let lines = Workspace::empty().succeeds(&["devices"]);
    let flex = lines.lines().find(|line| line.starts_with("flex ")).unwrap();
    assert_eq!(flex.matches(" GB ").count(), 2, "total and free memory: {flex}");
    assert_eq!(lines.matches("(auto)").count(), 1, "{lines}");
}

#[test]
fn auto_reports_a_fallback() {
    let workspace = workspace();
    let devices = workspace.succeeds(&["devices"]);
    let best = devices.lines().next().unwrap();
    let args = ["describe", "harbour.jpg", "--model", "checkpoint", "--max-new-tokens", "1", "--no-image-splitting"];
    // 8-bit weights run on Flex only, whatever GPUs there are.
    let output = workspace.run(&[&args[..], &["--device", "auto", "--dtype", "q8"]].concat());
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    // Without a GPU there is no fallback.
    if !best.starts_with("flex ") {
        assert!(said.contains("auto falls back to flex") && said.contains(&best[..best.find(' ').unwrap()]), "{said}");
    }
    let output = workspace.run(&[&args[..], &["--device", "flex"]].concat());
    assert!(!String::from_utf8(output.stderr).unwrap().contains("falls back"), "flex was requested");
}

#[test]
fn generate_prints_one_json_object_per_conversation() {
    let workspace = workspace();
    let args = ["generate", "--conversation", "chats.json", "--model", "checkpoint", "--max-new-tokens", "3", "--json"];
    let lines: Vec<Value> = workspace.succeeds(&args).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert!(line["text"].is_string() && line["timings"]["prefill_s"].is_f64(), "{line}");
        let tokens = line["token_ids"].as_array().unwrap().len();
        match line["finish_reason"].as_str().unwrap() {
            "length" => assert_eq!(tokens, 3),
            "eos" => assert!((1..=3).contains(&tokens)),
            other => panic!("finish reason {other}"),
        }
    }
    // 13 tiles versus none.
    let prompt_tokens = |row: usize| lines[row]["prompt_tokens"].as_u64().unwrap();
    assert!(prompt_tokens(0) > prompt_tokens(1) + 13);
    assert_eq!(workspace.succeeds(&args[..7]).lines().count(), 2, "without --json: one answer per line");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let workspace = workspace();
    let args = ["describe", "harbour.jpg", "--model", "checkpoint", "--max-new-tokens", "1", "--no-image-splitting"];
    let output = workspace.command(&args).env("SMOLVLM_DEVICE", "").env("NO_COLOR", "").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = workspace.command(&args).env("SMOLVLM_DEVICE", "no-such").output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn process_needs_no_weights() {
    let workspace = workspace();
    std::fs::remove_file(workspace.path("checkpoint/model.safetensors")).unwrap();
    workspace.succeeds(&[
        "process",
        "--conversation",
        "chats.json",
        "--model",
        "checkpoint",
        "--out",
        "in.safetensors",
    ]);
    let bytes = std::fs::read(workspace.path("in.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let prompts = metadata.metadata().clone().unwrap();
    assert!(prompts["prompt.0"].contains("<row_3_col_4>") && prompts["prompt.1"].contains("Only words."));

    let file = SafeTensors::deserialize(&bytes).unwrap();
    let pixels = file.tensor("pixel_values").unwrap();
    let edge = pixels.shape()[3];
    assert_eq!((pixels.dtype(), pixels.shape()), (Dtype::F32, &[2, 13, 3, edge, edge][..]));
    let ids = file.tensor("input_ids").unwrap();
    assert_eq!((ids.dtype(), ids.shape()), (Dtype::I64, file.tensor("attention_mask").unwrap().shape()));
    assert_eq!(file.tensor("pixel_attention_mask").unwrap().shape(), [2, 13, edge, edge]);
}

#[test]
fn forward_writes_the_requested_stages() {
    let workspace = workspace();
    let base = ["forward", "--conversation", "chats.json", "--model", "checkpoint", "--out", "out.safetensors"];
    let names_after = |more: &[&str]| {
        workspace.succeeds(&[&base[..], more].concat());
        let bytes = std::fs::read(workspace.path("out.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut shapes: Vec<(String, Vec<usize>)> =
            file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
        shapes.sort();
        shapes
    };
    let last = names_after(&[]);
    assert_eq!(last.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["image_features", "logits"]);
    assert_eq!(last[1].1[..2], [2, 1]);
    let all = names_after(&["--all-logits", "--stages"]);
    assert!(all.iter().any(|(name, shape)| name == "logits" && shape[0] == 2 && shape[1] > 1));
    assert!(all.iter().any(|(name, _)| name == "vision_hidden_states.0"));
    assert!(all.iter().any(|(name, _)| name == "text_hidden_states.0"));
}

#[test]
fn without_image_splitting_there_is_one_tile() {
    let workspace = workspace();
    let prompt_tokens = |more: &[&str]| {
        let base =
            ["generate", "--conversation", "chats.json", "--model", "checkpoint", "--max-new-tokens", "1", "--json"];
        let line = workspace.succeeds(&[&base[..], more].concat()).lines().next().unwrap().to_owned();
        serde_json::from_str::<Value>(&line).unwrap()["prompt_tokens"].as_u64().unwrap()
    };
    assert!(prompt_tokens(&["--no-image-splitting"]) < prompt_tokens(&[]) / 2);
}

#[test]
fn truncate_drops_old_turns() {
    let workspace = workspace();
    let text = |role: &str, text: &str| json!({"role": role, "content": [{"type": "text", "text": text}]});
    let (question, answer) = (text("user", &"long ago ".repeat(1000)), text("assistant", "Yes."));
    let last = text("user", "And now?");
    workspace.write("long.json", json!([question, answer, last]).to_string().as_bytes());
    workspace.write("short.json", json!([last]).to_string().as_bytes());
    let args =
        |chat: &'static str| ["generate", "--conversation", chat, "--model", "checkpoint", "--max-new-tokens", "5"];

    let line = workspace.fails(&args("long.json"));
    assert!(line.contains("8192"), "{line}");
    let short = workspace.succeeds(&args("short.json"));
    assert_eq!(workspace.succeeds(&[&args("long.json")[..], &["--truncate"]].concat()), short);
}

#[test]
fn random_weights_depend_only_on_the_seed() {
    let workspace = Workspace::empty();
    let weights = |out: &str, seed: &str| {
        workspace.succeeds(&["random", "--preset", "tiny", "--out", out, "--seed", seed]);
        std::fs::read(workspace.path(&format!("{out}/model.safetensors"))).unwrap()
    };
    let first = weights("a", "1");
    assert!(first == weights("b", "1"));
    assert!(first != weights("c", "2"));
}

#[test]
fn unused_tensors_are_reported_once() {
    let workspace = Workspace::empty();
    workspace.write("chat.json", br#"[{"role":"user","content":[{"type":"text","text":"hi"}]}]"#);
    let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/legacy/model");
    let args = ["generate", "--conversation", "chat.json", "--model", checkpoint, "--max-new-tokens", "1", "--json"];
    let output = workspace.run(&args);
    assert!(output.status.success());
    let notes = String::from_utf8(output.stderr).unwrap();
    assert_eq!(notes.matches("embeddings.position_ids").count(), 1, "{notes}");
}
