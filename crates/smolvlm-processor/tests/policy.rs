//! Tests of policies without a network: schemes, folders, counts.

mod common;

use std::fs;
use std::path::Path;

use common::{png, processor};
use smolvlm_processor::{
    Batch, Conversation, Error, FrameList, ImageSource, MediaPolicy, MediaScheme, Message, RenderOptions, Rgb,
    VideoSource,
};

fn run(message: Message, policy: MediaPolicy) -> Result<Batch, Error> {
    processor().with_media_policy(policy).process(&[Conversation::from(message)], &RenderOptions::answer())
}

fn in_folder(folder: &Path) -> MediaPolicy {
    MediaPolicy {
        schemes: vec![MediaScheme::Data, MediaScheme::File],
        folders: Some(vec![folder.to_owned()]),
        ..MediaPolicy::untrusted()
    }
}

/// A conversation with one item.
fn json(item: &str) -> String {
    format!(r#"[{{"role": "user", "content": [{item}, {{"type": "text", "text": "What?"}}]}}]"#)
}

#[test]
fn untrusted_conversations_may_only_contain_inline_data() {
    let data = format!("data:image/png;base64,{}", common::PNG);
    for item in [
        format!(r#"{{"type": "image", "url": "{data}"}}"#),
        format!(r#"{{"type": "image_url", "image_url": {{"url": "{data}"}}}}"#),
        format!(r#"{{"type": "image", "base64": "{}"}}"#, common::PNG),
        format!(r#"{{"type": "video", "video": ["{data}", "{data}"]}}"#),
    ] {
        let conversation = Conversation::from_json_untrusted(&json(&item)).unwrap();
        assert!(processor().process(&[conversation], &RenderOptions::answer()).is_ok(), "{item}");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for item in [
        format!(r#"{{"type": "image", "path": "{file}"}}"#),
        format!(r#"{{"type": "image", "image": "{file}"}}"#),
        format!(r#"{{"type": "image", "url": "file://{file}"}}"#),
        format!(r#"{{"type": "image", "url": "FILE:{file}"}}"#),
        format!(r#"{{"type": "video", "path": "{file}"}}"#),
        format!(r#"{{"type": "video", "video": ["{data}", "{file}"]}}"#),
        r#"{"type": "image", "image": "\\\\host\\share\\a.png"}"#.to_owned(),
        r#"{"type": "video", "url": "file:///etc/hostname"}"#.to_owned(),
        r#"{"type": "image", "url": "http://example.com/a.png"}"#.to_owned(),
        r#"{"type": "image_url", "image_url": "https://example.com/a.png"}"#.to_owned(),
    ] {
        let text = json(&item);
        let error = Conversation::from_json_untrusted(&text).unwrap_err();
        assert!(matches!(error, Error::NotAllowed { .. }), "{item}: {error}");
        let message = error.to_string();
        assert!(message.starts_with("message 0, item 0: "), "{message}");
        assert!(!message.contains("Cargo") && !message.contains("example.com/"), "{message}");
        // The same policy rejects the same media when they are opened.
        let conversation = Conversation::from_json(&text).unwrap();
        let strict = processor().with_media_policy(MediaPolicy::untrusted());
        let error = strict.process(&[conversation], &RenderOptions::answer()).unwrap_err();
        assert!(matches!(error, Error::NotAllowed { .. }), "{item}: {error}");
    }
    let frames = vec![format!("{data:?}"); 65].join(",");
    let many = json(&format!(r#"{{"type": "video", "video": [{frames}]}}"#));
    let error = Conversation::from_json_untrusted(&many).unwrap_err();
    assert!(matches!(error, Error::TooManyMedia { limit: 64, .. }), "{error}");
    assert!(Conversation::from_json_untrusted("[{").is_err());
}

#[test]
fn pixels_and_bytes_count_as_inline_data() {
    let no_data = || MediaPolicy { schemes: vec![MediaScheme::File], ..MediaPolicy::default() };
    let pixels = || ImageSource::from(Rgb::new(1, 1, vec![0; 3]).unwrap());
    for source in [pixels(), png().into(), ImageSource::Base64(common::PNG.into())] {
        assert!(run(Message::user().image(source.clone()), MediaPolicy::untrusted()).is_ok());
        assert!(matches!(run(Message::user().image(source.clone()), no_data()), Err(Error::NotAllowed { .. })));
        let list = FrameList::new([source]);
        assert!(matches!(run(Message::user().video(list), no_data()), Err(Error::NotAllowed { .. })));
    }
    assert!(run(Message::user().text("no media"), no_data()).is_ok());
}

#[test]
fn files_outside_the_allowed_folders_are_errors() {
    let top = tempfile::tempdir().unwrap();
    let media = top.path().join("media");
    fs::create_dir_all(media.join("frames")).unwrap();
    for file in ["media/a b.png", "media/frames/1.png", "media/frames/2.png", "secret.png"] {
        fs::write(top.path().join(file), png()).unwrap();
    }
    fs::write(media.join("bad.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let absolute = media.join("a b.png");
    let absolute = absolute.to_str().unwrap();
    for source in [
        ImageSource::from("a b.png"),
        ImageSource::from(absolute),
        ImageSource::Url(format!("file://{}", absolute.replace(' ', "%20"))),
        ImageSource::Url(format!("file://localhost{}", absolute.replace("a b", "%61%20b"))),
        ImageSource::Url("file:frames/../a%20b.png".to_owned()),
    ] {
        let result = run(Message::user().image(source.clone()), in_folder(&media));
        assert!(result.is_ok(), "{source:?}: {result:?}");
    }
    let secret = top.path().join("secret.png");
    for source in [
        ImageSource::from(secret.clone()),
        ImageSource::from("../secret.png"),
        ImageSource::from("frames/../../secret.png"),
        ImageSource::Url(format!("file://{}", secret.display())),
        ImageSource::Url("file:%2e%2e/secret.png".to_owned()),
        ImageSource::Url(format!("file://{}/%2e%2e/secret.png", media.display())),
        ImageSource::Url("file:////host/share/a.png".to_owned()),
        ImageSource::from("missing.png"),
    ] {
        let error = run(Message::user().image(source.clone()), in_folder(&media)).unwrap_err();
        assert!(matches!(error, Error::NotAllowed { .. }), "{source:?}: {error}");
        assert!(error.to_string().ends_with("there is no such file in the allowed folders"), "{error}");
        let frames = FrameList::new([source]);
        assert!(matches!(run(Message::user().video(frames), in_folder(&media)), Err(Error::NotAllowed { .. })));
    }
    assert!(run(Message::user().video("frames"), in_folder(&media)).is_ok());
    // Errors about files inside the folders contain no path either.
    for message in [Message::user().image("bad.png"), Message::user().video("bad.png"), Message::user().image("frames")]
    {
        let error = run(message, in_folder(&media)).unwrap_err().to_string();
        assert!(!error.contains("media") && !error.contains("bad.png"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn frame_folder_links_out_of_the_allowed_folders_are_errors() {
    let top = tempfile::tempdir().unwrap();
    let media = top.path().join("media");
    fs::create_dir_all(media.join("frames")).unwrap();
    fs::write(media.join("frames/1.png"), png()).unwrap();
    fs::write(top.path().join("secret.png"), png()).unwrap();
    assert!(run(Message::user().video("frames"), in_folder(&media)).is_ok());
    std::os::unix::fs::symlink(top.path().join("secret.png"), media.join("frames/2.png")).unwrap();
    let result = run(Message::user().video(VideoSource::from("frames")), in_folder(&media));
    assert!(matches!(result, Err(Error::NotAllowed { .. })));
}
