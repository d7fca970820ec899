//! Bad input gets one line that names the file and the cause, a failing exit code, and nothing half written.

mod support;

use std::fs;
use support::{Workspace, harbour};

/// The header of an RGB PNG of 60000 x 60000 pixels, and nothing else: 10.8 GB if somebody believed it.
const BOMB: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea`\0\0\xea`\x08\x02\0\0\0\x0f\xb0\xe2\x15";

/// Runs `describe` on a file with these bytes and returns the line on stderr.
fn describe(name: &str, bytes: &[u8]) -> String {
    let workspace = Workspace::with_checkpoint();
    let file = workspace.write(name, bytes);
    let line = workspace.fails(&["describe", &file, "--model", &workspace.checkpoint(), "--max-new-tokens", "1"]);
    assert!(line.contains(name), "{line:?} does not name {name}");
    line
}

#[test]
fn an_empty_image() {
    let line = describe("empty.png", b"");
    assert!(line.contains("empty"), "{line}");
}

#[test]
fn text_named_jpg() {
    let line = describe("letter.jpg", b"Dear Sir or Madam, this is no picture.\n");
    assert!(line.contains("format"), "{line}");
}

#[test]
fn a_truncated_jpeg() {
    let whole = harbour();
    let line = describe("cut.jpg", &whole[..whole.len() / 2]);
    assert!(line.contains("cut.jpg"), "{line}");
}

#[test]
fn a_decompression_bomb_is_refused_with_numbers() {
    let line = describe("bomb.png", BOMB);
    // 60000 x 60000, and how many are allowed.
    assert!(line.contains("3600000000") && line.contains("178956970") && line.contains("--max-image-pixels"), "{line}");
}

#[test]
fn an_image_that_is_not_there() {
    let workspace = Workspace::with_checkpoint();
    let line = workspace.fails(&["describe", "no-such.png", "--model", &workspace.checkpoint()]);
    assert!(line.contains("no-such.png"), "{line}");
}

#[test]
fn conversations_that_are_none() {
    let workspace = Workspace::with_checkpoint();
    let cases: &[(&str, &str)] = &[
        ("{not json", "line 1"),
        ("42", "list of messages"),
        ("[[1]]", "message"),
        (r#"[{"role":"user","content":7}]"#, "content"),
        (r#"[{"role":"user","content":[{"type":"smell"}]}]"#, "smell"),
        (r#"[{"role":"user","content":[{"type":"image"}]}]"#, "image"),
        (r#"[{"role":"user","content":[{"type":"text","text":"a <image> b"}]}]"#, "placeholder"),
        (r#"[{"role":"user","content":[]}]"#, "content"),
        ("[]", "conversation"),
    ];
    for (text, cause) in cases {
        let file = workspace.write("chat.json", text.as_bytes());
        let out = workspace.path("out.safetensors");
        for command in ["process", "forward"] {
            let line =
                workspace.fails(&[command, "--conversation", &file, "--out", &out, "--model", &workspace.checkpoint()]);
            assert!(line.contains(cause), "{text} gave {line:?}, which does not say {cause:?}");
            assert_eq!(workspace.names(), ["chat.json", "checkpoint"], "{command} left something behind");
        }
    }
}

#[test]
fn a_checkpoint_that_lacks_a_file() {
    for missing in ["config.json", "tokenizer.json", "model.safetensors"] {
        let workspace = Workspace::with_checkpoint();
        fs::remove_file(format!("{}/{missing}", workspace.checkpoint())).unwrap();
        let picture = workspace.write("harbour.jpg", &harbour());
        let line = workspace.fails(&["describe", &picture, "--model", &workspace.checkpoint()]);
        assert!(line.contains(missing), "{line:?} does not name {missing}");
    }
}

#[test]
fn a_checkpoint_that_is_none() {
    let workspace = Workspace::empty();
    let line = workspace.fails(&["describe", "a.png", "--model", "./no/such/folder"]);
    assert!(line.contains("./no/such/folder"), "{line}");
}

#[test]
fn weights_that_the_device_cannot_hold() {
    let workspace = Workspace::with_checkpoint();
    let file = format!("{}/config.json", workspace.checkpoint());
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config["text_config"]["intermediate_size"] = 1_000_000_000.into();
    fs::write(&file, config.to_string()).unwrap();
    let picture = workspace.write("harbour.jpg", &harbour());
    let line = workspace.fails(&["describe", &picture, "--model", &workspace.checkpoint(), "--device", "flex"]);
    assert!(line.contains("the weights need") && line.contains("flex") && line.contains("GB"), "{line}");
}

#[test]
fn devices_that_are_not_there() {
    let workspace = Workspace::with_checkpoint();
    let picture = workspace.write("harbour.jpg", &harbour());
    for device in ["cuda:999", "metal:999", "gpu"] {
        // The checkpoint is not there either: the device is looked at before anything is downloaded.
        for model in [workspace.checkpoint(), "nobody/nothing".to_owned()] {
            let output = workspace.run(&["describe", &picture, "--model", &model, "--device", device]);
            assert!(!output.status.success());
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(device), "{said}");
        }
    }
}

#[test]
fn truncated_weights() {
    let workspace = Workspace::with_checkpoint();
    let weights = format!("{}/model.safetensors", workspace.checkpoint());
    let bytes = fs::read(&weights).unwrap();
    let picture = workspace.write("harbour.jpg", &harbour());
    for length in [0, 4, 100, bytes.len() - 1] {
        fs::write(&weights, &bytes[..length]).unwrap();
        let line = workspace.fails(&["describe", &picture, "--model", &workspace.checkpoint()]);
        assert!(line.contains("model.safetensors"), "{length} bytes gave {line:?}");
    }
}

#[test]
fn an_output_that_cannot_be_written() {
    let workspace = Workspace::with_checkpoint();
    let chat = workspace.write("chat.json", br#"[{"role":"user","content":[{"type":"text","text":"hi"}]}]"#);
    let out = workspace.path("no/such/folder/out.safetensors");
    let line =
        workspace.fails(&["process", "--conversation", &chat, "--out", &out, "--model", &workspace.checkpoint()]);
    assert!(line.contains("out.safetensors"), "{line}");
}

#[test]
fn a_checkpoint_is_not_overwritten_unasked() {
    let workspace = Workspace::with_checkpoint();
    let line = workspace.fails(&["random", "--preset", "tiny", "--out", &workspace.checkpoint()]);
    assert!(line.contains("--force"), "{line}");
}
