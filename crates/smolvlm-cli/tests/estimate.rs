//! `estimate`: its numbers equal those of `process`.

mod support;

use safetensors::SafeTensors;
use serde_json::{Value, json};
use support::{Workspace, test_file};

fn workspace() -> Workspace {
    let workspace = Workspace::with_checkpoint();
    std::fs::remove_file(workspace.path("checkpoint/model.safetensors")).unwrap();
    workspace.write("landscape.png", &test_file("golden/media/landscape.png"));
    workspace.write("moving.gif", &test_file("corpus/clips/moving.gif"));
    let message = json!([{"role": "user", "content": [
        {"type": "image", "path": "landscape.png"},
        {"type": "video", "path": "moving.gif"},
        {"type": "text", "text": "What?"},
    ]}]);
    workspace.write("chat.json", message.to_string().as_bytes());
    workspace
}

const INPUT: [&str; 4] = ["--conversation", "chat.json", "--model", "checkpoint"];

fn estimate(workspace: &Workspace, more: &[&str]) -> Value {
    let line = workspace.succeeds(&[&["estimate", "--json"], &INPUT[..], more].concat());
    serde_json::from_str(&line).unwrap()
}

/// The numbers of tiles and prompt tokens of `process`.
fn processed(workspace: &Workspace, more: &[&str]) -> (usize, usize) {
    workspace.succeeds(&[&["process", "--out", "in.safetensors"], &INPUT[..], more].concat());
    let bytes = std::fs::read(workspace.path("in.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    (file.tensor("pixel_values").unwrap().shape()[1], file.tensor("input_ids").unwrap().shape()[1])
}

#[test]
fn tiles_and_tokens_equal_those_of_process() {
    let workspace = workspace();
    let mut tiles = Vec::new();
    for more in [
        &[][..],
        &["--no-image-splitting"],
        &["--resize", "global-only"],
        &["--resize", "no-upscale"],
        &["--resize", "max-tiles=5"],
        &["--video-frames", "1"],
        &["--video-fps", "0.5", "--video-prompt-style", "reference"],
    ] {
        let estimate = estimate(&workspace, more);
        let counted = [&estimate["tiles"], &estimate["prompt_tokens"]].map(|count| count.as_u64().unwrap() as usize);
        assert_eq!(counted, <[usize; 2]>::from(processed(&workspace, more)), "{more:?}");
        tiles.push(counted[0]);
    }
    assert_eq!(tiles[1], tiles[2]);
    assert!(tiles[1] < tiles[0] && tiles[4] < tiles[0] && tiles[5] < tiles[0], "{tiles:?}");
}

#[test]
fn the_peak_covers_all_stages_and_grows_with_the_answer() {
    let workspace = workspace();
    let memory = |more: &[&str]| {
        let estimate = estimate(&workspace, more);
        let bytes = |stage: &str| estimate["memory_bytes"][stage].as_u64().unwrap();
        assert!(bytes("peak") >= bytes("weights") + bytes("pixels") + bytes("vision"));
        assert!(bytes("peak") >= bytes("weights") + bytes("cache") + bytes("prefill"));
        bytes("cache")
    };
    assert!(memory(&["--max-new-tokens", "1000"]) > memory(&[]));
}

#[test]
fn the_table_has_the_same_numbers() {
    let workspace = workspace();
    let estimate = estimate(&workspace, &[]);
    let table = workspace.succeeds(&[&["estimate"], &INPUT[..]].concat());
    for (name, key) in [("tiles", "tiles"), ("image tokens", "image_tokens"), ("prompt tokens", "prompt_tokens")] {
        let row = table.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        let shown = row.split_whitespace().find_map(|word| word.parse::<u64>().ok());
        assert_eq!(shown, estimate[key].as_u64(), "{row}");
    }
    assert!(table.starts_with("conversation 0\n") && table.contains("MiB"), "{table}");
    assert_eq!(estimate["media"][1]["type"], "video");
}

#[test]
fn an_invalid_conversation_does_not_affect_the_others() {
    let workspace = workspace();
    let good = json!([{"role": "user", "content": "Hello"}]);
    let missing = json!([{"role": "user", "content": [{"type": "image", "path": "nowhere.png"}]}]);
    workspace.write("many.jsonl", format!("{good}\n{missing}\n{good}\n").as_bytes());
    let output = workspace.run(&["estimate", "--conversation", "many.jsonl", "--model", "checkpoint"]);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout.contains("conversation 0\n") && stdout.contains("conversation 2\n"), "{stdout}");
    assert!(
        stderr.lines().count() == 1 && stderr.contains("conversation 1") && stderr.contains("nowhere.png"),
        "{stderr}"
    );
}

#[test]
fn a_text_over_the_limit_is_rejected_before_it_is_tokenized() {
    let workspace = Workspace::with_checkpoint();
    let long = json!([{"role": "user", "content": "word ".repeat(4 << 20)}]);
    workspace.write("long.json", long.to_string().as_bytes());
    for command in ["estimate", "generate"] {
        let line = workspace.fails(&[command, "--conversation", "long.json", "--model", "checkpoint"]);
        assert!(line.contains("bytes of text, the limit is 1048576"), "{line}");
    }
}
