//! Videos, with and without FFmpeg.

mod support;

use safetensors::SafeTensors;
use serde_json::{Value, json};
use support::{Workspace, harbour, test_file};

const SETTINGS: [&str; 4] = ["--random", "tiny", "--max-new-tokens", "4"];

/// The answer of `generate` to a message of these items.
fn generated(workspace: &Workspace, items: Value) -> String {
    workspace.write("chat.json", json!([{"role": "user", "content": items}]).to_string().as_bytes());
    workspace.succeeds(&[&["generate", "--conversation", "chat.json"], &SETTINGS[..]].concat())
}

#[test]
fn media_reach_the_model_in_order_and_the_first_one_makes_the_question() {
    let workspace = Workspace::empty();
    workspace.write("harbour.jpg", &harbour());
    workspace.write("moving.gif", &test_file("corpus/clips/moving.gif"));
    let describe = |more: &[&str]| workspace.succeeds(&[&["describe"], more, &SETTINGS[..]].concat());
    let (image, video) =
        (json!({"type": "image", "path": "harbour.jpg"}), json!({"type": "video", "path": "moving.gif"}));
    let text = |text: &str| json!({"type": "text", "text": text});

    let about_video = json!([video, image, text("Can you describe this video?")]);
    assert_eq!(describe(&["moving.gif", "harbour.jpg"]), generated(&workspace, about_video));
    let about_image = json!([image, video, text("Can you describe this image?")]);
    assert_eq!(describe(&["harbour.jpg", "moving.gif"]), generated(&workspace, about_image));
    let asked = json!([video, text("Why?")]);
    assert_eq!(describe(&["moving.gif", "--prompt", "Why?"]), generated(&workspace, asked));
}

#[test]
fn an_animated_webp_is_a_video_when_told_so() {
    let workspace = Workspace::empty();
    workspace.write("moving.webp", &test_file("corpus/clips/moving.webp"));
    let prompt_tokens = |more: &[&str]| {
        let output = workspace.run(&[&["describe", "moving.webp"], more, &SETTINGS[..]].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap().split_once(' ').unwrap().0.parse::<usize>().unwrap()
    };
    let frames =
        [&["--as-video", "--video-frames", "1"][..], &["--as-video", "--video-frames", "2", "--video-fps", "50"]];
    assert!(prompt_tokens(frames[0]) < prompt_tokens(frames[1]));
    assert_ne!(prompt_tokens(&[]), prompt_tokens(frames[1]));
}

#[test]
fn process_names_the_frames_without_weights() {
    let workspace = Workspace::with_checkpoint();
    std::fs::remove_file(workspace.path("checkpoint/model.safetensors")).unwrap();
    workspace.write("moving.gif", &test_file("corpus/clips/moving.gif"));
    let video = json!({"type": "video", "path": "moving.gif"});
    let chats = json!([
        [{"role": "user", "content": [{"type": "text", "text": "Nothing to see."}]}],
        [{"role": "user", "content": [video, video]}],
    ]);
    workspace.write("chats.json", chats.to_string().as_bytes());
    let args = ["process", "--conversation", "chats.json", "--model", "checkpoint", "--out", "in.safetensors"];
    workspace.succeeds(&[&args[..], &["--video-fps", "5"]].concat());

    let bytes = std::fs::read(workspace.path("in.safetensors")).unwrap();
    let pixels = SafeTensors::deserialize(&bytes).unwrap().tensor("pixel_values").unwrap().shape().to_vec();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    let mut videos: Vec<&String> = metadata.keys().filter(|key| key.starts_with("video.")).collect();
    videos.sort();
    assert_eq!(videos, ["video.1.0", "video.1.1"]);
    let frames: Value = serde_json::from_str(&metadata["video.1.0"]).unwrap();
    let list = |key: &str| frames[key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>();
    let (indices, times) = (list("indices"), list("times"));
    assert!(indices.len() > 1 && indices.len() == pixels[1] && indices.len() == times.len(), "{frames}");
    assert!(indices.is_sorted_by(|a, b| a < b) && times.is_sorted_by(|a, b| a < b), "{frames}");
    assert!(*indices.last().unwrap() < frames["frames"].as_f64().unwrap());
}

#[cfg(feature = "video")]
#[test]
fn a_container_is_described() {
    let workspace = Workspace::empty();
    workspace.write("plain.mp4", &test_file("corpus/clips/plain.mp4"));
    let shown =
        json!([{"type": "video", "path": "plain.mp4"}, {"type": "text", "text": "Can you describe this video?"}]);
    let answer = workspace.succeeds(&[&["describe", "plain.mp4"], &SETTINGS[..]].concat());
    assert_eq!(answer, generated(&workspace, shown));
}

#[cfg(not(feature = "video"))]
#[test]
fn a_container_needs_the_feature_that_the_error_names() {
    let workspace = Workspace::empty();
    workspace.write("plain.mp4", &test_file("corpus/clips/plain.mp4"));
    let line = workspace.fails(&[&["describe", "plain.mp4"], &SETTINGS[..]].concat());
    assert!(line.contains("plain.mp4") && line.contains("`video`"), "{line}");
}
