//! Videos, with and without FFmpeg.

mod support;

use safetensors::SafeTensors;
use serde_json::{Value, json};
use support::{Workspace, harbour, test_file};

const SETTINGS: [&str; 4] = ["--random", "tiny", "--max-new-tokens", "4"];

/// The answer of `generate` to a message with these content items.
fn generated(workspace: &Workspace, items: Value) -> String {
    workspace.write("chat.json", json!([{"role": "user", "content": items}]).to_string().as_bytes());
    workspace.succeeds(&[&["generate", "--conversation", "chat.json"], &SETTINGS[..]].concat())
}

#[test]
fn media_keep_their_order_and_the_first_determines_the_default_question() {
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
fn the_contents_of_a_file_determine_whether_it_is_a_video() {
    let workspace = Workspace::empty();
    // File names without an extension, or with a wrong one.
    workspace.write("animated", &test_file("corpus/clips/moving.webp"));
    workspace.write("animated.png", &test_file("corpus/clips/moving.apng"));
    workspace.write("still.gif", &test_file("golden/media/square.png"));
    let prompt = |file: &str, more: &[&str]| {
        let output = workspace.run(&[&["describe", file], more, &SETTINGS[..]].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap().split_once(' ').unwrap().0.parse::<usize>().unwrap()
    };
    let two = ["--video-frames", "2", "--video-fps", "50"];
    for video in ["animated", "animated.png"] {
        assert!(prompt(video, &["--video-frames", "1"]) < prompt(video, &two), "{video}");
    }
    assert_eq!(prompt("still.gif", &["--video-frames", "1"]), prompt("still.gif", &two));
    assert_ne!(prompt("still.gif", &["--as-video"]), prompt("still.gif", &[]));
}

#[test]
fn process_writes_frame_indices_and_times_without_weights() {
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

/// Whether this build or this machine can decode containers.
fn has_ffmpeg() -> bool {
    cfg!(feature = "video")
        || ["ffmpeg", "ffprobe"]
            .iter()
            .all(|program| std::process::Command::new(program).arg("-version").output().is_ok())
}

#[test]
fn a_video_container_is_described() {
    if !has_ffmpeg() {
        return;
    }
    let workspace = Workspace::empty();
    workspace.write("plain.mp4", &test_file("corpus/clips/plain.mp4"));
    let shown =
        json!([{"type": "video", "path": "plain.mp4"}, {"type": "text", "text": "Can you describe this video?"}]);
    let answer = workspace.succeeds(&[&["describe", "plain.mp4"], &SETTINGS[..]].concat());
    assert_eq!(answer, generated(&workspace, shown));
}

#[test]
fn the_complete_frames_of_a_truncated_video_are_used_with_a_note() {
    let workspace = Workspace::with_checkpoint();
    let clips: &[(&str, u64, &str)] = match has_ffmpeg() {
        true => &[("notrailer.gif", 5, "5 frames"), ("cut-90.mp4", 60, "of 80"), ("cut.flv", 23, "23 frames")],
        false => &[("notrailer.gif", 5, "5 frames")],
    };
    for (name, frames, words) in clips {
        workspace.write(name, &test_file(&format!("corpus/clips/{name}")));
        let chat = json!([{"role": "user", "content": [{"type": "video", "path": name}]}]);
        workspace.write("chat.json", chat.to_string().as_bytes());
        let args = ["process", "--conversation", "chat.json", "--model", "checkpoint", "--out"];
        let output = workspace.run(&[&args[..], &[&format!("{name}.safetensors")]].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && stderr.starts_with("smolvlm: note: ") && stderr.contains(words), "{stderr}");
        let bytes = std::fs::read(workspace.path(&format!("{name}.safetensors"))).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let video: Value = serde_json::from_str(&header.metadata().clone().unwrap()["video.0.0"]).unwrap();
        assert_eq!(video["frames"], json!(frames), "{name}");

        let described = workspace.run(&[&["describe", name], &SETTINGS[..]].concat());
        let stderr = String::from_utf8(described.stderr).unwrap();
        assert!(described.status.success() && stderr.contains(words), "{stderr}");
    }
}

#[cfg(not(feature = "video"))]
#[test]
fn without_ffmpeg_the_error_explains_how_to_install_it() {
    let workspace = Workspace::empty();
    workspace.write("plain.mp4", &test_file("corpus/clips/plain.mp4"));
    let mut command = workspace.command(&[&["describe", "plain.mp4"], &SETTINGS[..]].concat());
    let output = command.env("PATH", workspace.path("")).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && line.contains("plain.mp4"), "{line}");
    assert!(line.contains("`ffprobe`") && line.contains("install ffmpeg") && line.contains("`video`"), "{line}");
}
