//! Invalid input: a one-line error that names the file and the cause, a failing exit code, and no partial output.

mod support;

use std::fs;
use support::{Workspace, harbour};

/// The header of an RGB PNG of 60000 x 60000 pixels without pixel data; decoded, they would take 10.8 GB.
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
fn an_empty_image_is_an_error() {
    let line = describe("empty.png", b"");
    assert!(line.contains("empty"), "{line}");
}

#[test]
fn a_text_named_jpg_is_an_error() {
    let line = describe("letter.jpg", b"Dear Sir or Madam, this is not an image.\n");
    assert!(line.contains("format"), "{line}");
}

#[test]
fn a_truncated_jpeg_is_an_error() {
    let whole = harbour();
    let line = describe("cut.jpg", &whole[..whole.len() / 2]);
    assert!(line.contains("cut.jpg"), "{line}");
}

#[test]
fn a_decompression_bomb_is_rejected_with_its_size_and_the_limit() {
    let line = describe("bomb.png", BOMB);
    // The number of pixels, and the limit.
    assert!(line.contains("3600000000") && line.contains("178956970") && line.contains("--max-image-pixels"), "{line}");
}

#[test]
fn a_missing_image_is_an_error() {
    let workspace = Workspace::with_checkpoint();
    let line = workspace.fails(&["describe", "no-such.png", "--model", &workspace.checkpoint()]);
    assert!(line.contains("no-such.png"), "{line}");
}

#[test]
fn invalid_conversations_are_errors() {
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
fn a_missing_file_of_a_checkpoint_is_named() {
    for missing in ["config.json", "tokenizer.json", "model.safetensors"] {
        let workspace = Workspace::with_checkpoint();
        fs::remove_file(format!("{}/{missing}", workspace.checkpoint())).unwrap();
        let image = workspace.write("harbour.jpg", &harbour());
        let line = workspace.fails(&["describe", &image, "--model", &workspace.checkpoint()]);
        assert!(line.contains(missing), "{line:?} does not name {missing}");
    }
}

#[test]
fn a_missing_checkpoint_is_an_error() {
    let workspace = Workspace::empty();
    let line = workspace.fails(&["describe", "a.png", "--model", "./no/such/folder"]);
    assert!(line.contains("./no/such/folder"), "{line}");
}

#[test]
fn weights_larger_than_the_device_memory_are_an_error() {
    let workspace = Workspace::with_checkpoint();
    let file = format!("{}/config.json", workspace.checkpoint());
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config["text_config"]["intermediate_size"] = 1_000_000_000.into();
    fs::write(&file, config.to_string()).unwrap();
    let image = workspace.write("harbour.jpg", &harbour());
    let line = workspace.fails(&["describe", &image, "--model", &workspace.checkpoint(), "--device", "flex"]);
    assert!(line.contains("the weights need") && line.contains("flex") && line.contains("GB"), "{line}");
}

#[test]
fn missing_devices_are_named() {
    let workspace = Workspace::with_checkpoint();
    let image = workspace.write("harbour.jpg", &harbour());
    for device in ["cuda:999", "metal:999", "gpu"] {
        // The checkpoint may be missing, too: the device is checked before anything is downloaded.
        for model in [workspace.checkpoint(), "nobody/nothing".to_owned()] {
            let output = workspace.run(&["describe", &image, "--model", &model, "--device", device]);
            assert!(!output.status.success());
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(device), "{said}");
        }
    }
}

#[test]
fn truncated_weights_are_an_error() {
    let workspace = Workspace::with_checkpoint();
    let weights = format!("{}/model.safetensors", workspace.checkpoint());
    let bytes = fs::read(&weights).unwrap();
    let image = workspace.write("harbour.jpg", &harbour());
    for length in [0, 4, 100, bytes.len() - 1] {
        fs::write(&weights, &bytes[..length]).unwrap();
        let line = workspace.fails(&["describe", &image, "--model", &workspace.checkpoint()]);
        assert!(line.contains("model.safetensors"), "{length} bytes gave {line:?}");
    }
}

#[test]
fn an_unwritable_output_is_an_error() {
    let workspace = Workspace::with_checkpoint();
    let chat = workspace.write("chat.json", br#"[{"role":"user","content":[{"type":"text","text":"hi"}]}]"#);
    let out = workspace.path("no/such/folder/out.safetensors");
    let line =
        workspace.fails(&["process", "--conversation", &chat, "--out", &out, "--model", &workspace.checkpoint()]);
    assert!(line.contains("out.safetensors"), "{line}");
}

#[test]
fn a_checkpoint_is_overwritten_only_with_force() {
    let workspace = Workspace::with_checkpoint();
    let line = workspace.fails(&["random", "--preset", "tiny", "--out", &workspace.checkpoint()]);
    assert!(line.contains("--force"), "{line}");
}

#[test]
fn an_unknown_instruction_set_is_an_error() {
    let workspace = Workspace::empty();
    let mut command = workspace.command(&["bench", "--random", "tiny", "--quick"]);
    command.env("SMOLVLM_ISA", "avx3");
    let output = workspace.run_command(command, b"");
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && line.contains("avx3") && line.contains("avx512"), "{line}");
}
