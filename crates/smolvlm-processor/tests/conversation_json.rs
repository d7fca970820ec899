//! Tests of conversation parsing and serialization.

mod common;

use common::{Random, mutated};
use smolvlm_processor::{Content, Conversation, Error, ImageSource, Position, Problem, Ratio, VideoSource};

fn problem(json: &str) -> (Position, Problem) {
    match Conversation::from_json(json) {
        Err(Error::Conversation { at, problem }) => (at, problem),
        other => panic!("{json}: {other:?}"),
    }
}

fn items(json: &str) -> Vec<String> {
    let text = format!(r#"[{{"role": "user", "content": {json}}}]"#);
    let conversation = Conversation::from_json(&text).unwrap();
    conversation.messages[0].content.iter().map(|item| format!("{item:?}")).collect()
}

#[test]
fn all_image_notations_are_parsed() {
    let cases = [
        (r#"{"type": "image", "image": "a.png"}"#, r#"Image(Path("a.png"))"#),
        (r#"{"type": "image", "path": "http://not-a-url"}"#, r#"Image(Path("http://not-a-url"))"#),
        (r#"{"type": "image", "url": "https://h/a.png"}"#, r#"Image(Url("https://h/a.png"))"#),
        (r#"{"type": "image", "url": "file:///a.png"}"#, r#"Image(Url("file:///a.png"))"#),
        (r#"{"type": "image", "url": "a.png", "image": null}"#, r#"Image(Path("a.png"))"#),
        (r#"{"type": "image", "base64": "AAAA"}"#, "Image(Base64(4 characters))"),
        (r#"{"type": "image_url", "image_url": {"url": "data:,x", "detail": "auto"}}"#, r#"Image(Url("data:,x"))"#),
        (r#"{"type": "image_url", "image_url": "http://h/a.png"}"#, r#"Image(Url("http://h/a.png"))"#),
        (r#"{"type": "text", "text": "", "cache_control": {}}"#, r#"Text("")"#),
    ];
    for (json, wanted) in cases {
        assert_eq!(items(&format!("[{json}]")), [wanted], "{json}");
    }
}

#[test]
fn errors_include_the_position() {
    let cases = [
        (r#"{"messages": []}"#, "expected a list of messages, found an object"),
        ("7", "expected a list of messages, found a number"),
        ("[]", "the conversation holds no message"),
        (r#"[[{"role": "user", "content": []}]]"#, "expected one list of messages, found a list of conversations"),
        ("[true]", r#"message 0: a message must be an object with "role" and "content", found a boolean"#),
        (r#"[{"content": []}]"#, r#"message 0: the message has no "role""#),
        (r#"[{"role": null, "content": []}]"#, r#"message 0: the message has no "role""#),
        (r#"[{"role": 1, "content": []}]"#, r#"message 0: "role" must be a string, found a number"#),
        (r#"[{"role": "user"}]"#, r#"message 0: the message has no "content""#),
        (r#"[{"role": "user", "content": null}]"#, r#"message 0: the message has no "content""#),
        (r#"[{"role": "user", "content": []}]"#, r#"message 0: "content" is empty; give at least one item"#),
        (
            r#"[{"role": "user", "content": {}}]"#,
            r#"message 0: "content" must be a string or a list of items, found an object"#,
        ),
    ];
    for (json, wanted) in cases {
        assert_eq!(Conversation::from_json(json).unwrap_err().to_string(), wanted, "{json}");
    }
}

#[test]
fn string_content_is_one_text_item() {
    for role in ["user", "system", "assistant", "tool"] {
        let json = format!(r#"[{{"role": "{role}", "content": "hi", "name": "x"}}]"#);
        let message = Conversation::from_json(&json).unwrap().messages.remove(0);
        assert!(matches!(&message.content[..], [Content::Text(text)] if text == "hi"), "{message:?}");
        assert_eq!((message.as_string(), message.extra["name"].as_str()), (Some("hi"), Some("x")));
    }
    let listed =
        r#"[[{"role": "user", "content": [{"type": "text", "text": "hi"}]}], [{"role": "user", "content": ""}]]"#;
    let batch = Conversation::many_from_json(listed).unwrap();
    assert_eq!((batch[0].messages[0].as_string(), batch[1].messages[0].as_string()), (None, Some("")));
}

#[test]
fn byte_order_mark_is_skipped() {
    let json = "\u{feff}[{\"role\": \"user\", \"content\": \"hi\"}]";
    assert_eq!(Conversation::from_json(json).unwrap().messages[0].as_string(), Some("hi"));
    assert_eq!(Conversation::many_from_json(json).unwrap().len(), 1);
}

#[test]
fn invalid_items_are_reported_with_their_index() {
    let cases = [
        ("\"hi\"", Problem::ItemNotObject { found: "a string" }),
        ("{}", Problem::MissingType),
        (r#"{"text": "hi"}"#, Problem::MissingType),
        (r#"{"type": 3}"#, Problem::NotString { key: "type", found: "a number" }),
        (r#"{"type": "audio", "path": "a.mp3"}"#, Problem::UnknownType { found: "audio".to_owned() }),
        (r#"{"type": "video"}"#, Problem::MissingVideo),
        (r#"{"type": "video_url", "video_url": {}}"#, Problem::MissingVideo),
        (r#"{"type": "video", "path": "a.mp4", "fps": 0}"#, Problem::InvalidFps),
        (r#"{"type": "video", "path": "a.mp4", "fps": "x"}"#, Problem::InvalidFps),
        (r#"{"type": "video", "video": ["a.png", 3]}"#, Problem::NotString { key: "video", found: "a number" }),
        (r#"{"type": "video", "video": []}"#, Problem::NotString { key: "video", found: "an empty list" }),
        (r#"{"type": "video", "path": "a", "video": "b"}"#, Problem::SeveralSources { first: "video", second: "path" }),
        (r#"{"type": "text"}"#, Problem::MissingText),
        (r#"{"type": "text", "text": ["a"]}"#, Problem::NotString { key: "text", found: "a list" }),
        (r#"{"type": "image"}"#, Problem::MissingImage),
        (r#"{"type": "image", "url": null}"#, Problem::MissingImage),
        (r#"{"type": "image_url"}"#, Problem::MissingImage),
        (r#"{"type": "image_url", "image_url": {}}"#, Problem::MissingImage),
        (r#"{"type": "image_url", "image_url": {"url": 1}}"#, Problem::NotString { key: "url", found: "a number" }),
        (r#"{"type": "image", "url": ""}"#, Problem::NotString { key: "url", found: "an empty string" }),
        (r#"{"type": "image", "path": {"a": 1}}"#, Problem::MissingImage),
        (r#"{"type": "image", "path": [1]}"#, Problem::NotString { key: "path", found: "a list" }),
        (r#"{"type": "image", "path": "a", "url": "b"}"#, Problem::SeveralSources { first: "url", second: "path" }),
    ];
    for (item, wanted) in cases {
        let json = format!(r#"[{{"role": "user", "content": [{{"type": "text", "text": "x"}}, {item}]}}]"#);
        let (at, found) = problem(&json);
        assert_eq!((at.conversation, at.message, at.item), (None, Some(0), Some(1)), "{item}");
        assert_eq!(found, wanted, "{item}");
    }
    let unknown = Problem::UnknownType { found: "audio".to_owned() }.to_string();
    assert_eq!(
        unknown,
        r#"unknown content type "audio"; known types are "text", "image", "image_url", "video" and "video_url""#
    );
}

#[test]
fn invalid_json_is_reported_with_line_and_column() {
    match Conversation::from_json("[\n  {\"role\": }\n]") {
        Err(Error::Json { line: 2, column: 12, message }) => assert_eq!(message, "expected value"),
        other => panic!("{other:?}"),
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(Conversation::from_json(&deep), Err(Error::Json { .. })));
}

#[test]
fn batch_is_a_list_of_conversations_or_one_conversation() {
    let one = r#"[{"role": "user", "content": [{"type": "text", "text": "a"}]}]"#;
    assert_eq!(Conversation::many_from_json(one).unwrap().len(), 1);
    assert_eq!(Conversation::many_from_json(&format!("[{one}, {one}]")).unwrap().len(), 2);
    let cases = [
        (format!("[{one}, []]"), "conversation 1: the conversation holds no message"),
        (format!("[{one}, 3]"), "conversation 1: expected a list of messages, found a number"),
        (
            format!(r#"[{one}, [{{"role": "user", "content": ["x"]}}]]"#),
            r#"conversation 1, message 0, item 0: a content item must be an object with "type", found a string"#,
        ),
        ("[]".to_owned(), "the conversation holds no message"),
    ];
    for (json, wanted) in cases {
        assert_eq!(Conversation::many_from_json(&json).unwrap_err().to_string(), wanted, "{json}");
    }
}

#[test]
fn mutated_conversations_do_not_panic() {
    const SEED: &str = r#"[{"role": "user", "content": [{"type": "image", "url": "a.png"}, {"type": "text", "text": "é\n"}]},
        {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}], "name": null}]"#;
    let alphabet: Vec<char> = "{}[]:,\"\\u0 \u{0}é".chars().collect();
    let mut random = Random(3);
    let (mut read, mut misshapen) = (0, 0);
    for _ in 0..20_000 {
        let text = mutated(SEED, &alphabet, &mut random);
        match Conversation::many_from_json(&text) {
            Ok(_) => read += 1,
            Err(Error::Conversation { .. }) => misshapen += 1,
            Err(Error::Json { line, .. }) => assert!(line >= 1),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(read > 100 && misshapen > 100, "{read} read, {misshapen} misshapen");
}

/// All notations for images and videos that other programs use.
#[test]
fn all_media_notations_are_parsed() {
    let item = |json: &str| {
        let json = format!(r#"[{{"role": "user", "content": [{json}]}}]"#);
        let mut conversation = Conversation::from_json(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        conversation.messages.remove(0).content.remove(0)
    };
    for json in [
        r#"{"type": "image", "image": "https://h/a"}"#,
        r#"{"type": "image", "url": "https://h/a"}"#,
        r#"{"type": "image", "image": {"url": "https://h/a"}}"#,
        r#"{"type": "image_url", "image_url": {"url": "https://h/a", "detail": "low"}}"#,
        r#"{"type": "image_url", "image_url": "https://h/a"}"#,
        r#"{"type": "image", "image_url": "https://h/a"}"#,
        r#"{"type": "input_image", "image_url": "https://h/a"}"#,
    ] {
        assert!(matches!(item(json), Content::Image(ImageSource::Url(url)) if url == "https://h/a"), "{json}");
    }
    for json in [r#"{"type": "image", "base64": "AAAA"}"#, r#"{"type": "image", "image": {"bytes": "AAAA"}}"#] {
        assert!(matches!(item(json), Content::Image(ImageSource::Base64(text)) if text == "AAAA"), "{json}");
    }
    for json in [
        r#"{"type": "video", "video": "https://h/a"}"#,
        r#"{"type": "video", "url": "https://h/a"}"#,
        r#"{"type": "video_url", "video_url": {"url": "https://h/a"}}"#,
        r#"{"type": "input_video", "video_url": "https://h/a"}"#,
    ] {
        assert!(matches!(item(json), Content::Video(VideoSource::Url(url)) if url == "https://h/a"), "{json}");
    }
    assert!(matches!(item(r#"{"type": "video", "path": "a.mp4"}"#), Content::Video(VideoSource::Path(_))));
    assert!(matches!(item(r#"{"type": "video", "bytes": "AAAA"}"#), Content::Video(VideoSource::Base64(_))));
    assert!(matches!(item(r#"{"type": "input_text", "text": "a"}"#), Content::Text(text) if text == "a"));
    match item(r#"{"type": "video", "video": ["a.png", {"url": "https://h/b"}], "fps": 2.5}"#) {
        Content::Video(VideoSource::Frames(list)) => {
            assert!(matches!(&list.images[..], [ImageSource::Path(_), ImageSource::Url(_)]));
            assert_eq!(list.fps, Ratio::new(5, 2));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn builder_and_json_give_the_same_conversation() {
    let json = r#"[{"role": "user", "content": [{"type": "image", "path": "a.png"}]}]"#;
    match &Conversation::from_json(json).unwrap().messages[0].content[0] {
        Content::Image(ImageSource::Path(path)) => assert_eq!(path.to_str(), Some("a.png")),
        other => panic!("{other:?}"),
    }
}

/// OpenAI's `detail` is that of all images of a message; the highest counts.
#[test]
fn detail_decides_whether_images_are_split() {
    let splitting = |items: &str| {
        let conversation = Conversation::from_json(&format!(r#"[{{"role": "user", "content": [{items}]}}]"#));
        conversation.map(|conversation| conversation.messages[0].media_options.image_splitting)
    };
    let low = r#"{"type": "image_url", "image_url": {"url": "https://h/a", "detail": "low"}}"#;
    let auto = r#"{"type": "image_url", "image_url": {"url": "https://h/a", "detail": "auto"}}"#;
    let high = r#"{"type": "input_image", "image_url": "https://h/a", "detail": "high"}"#;
    let none = r#"{"type": "image", "url": "https://h/a"}"#;
    let text = r#"{"type": "text", "text": "a"}"#;
    for (items, expected) in [
        (vec![low, text], Some(false)),
        (vec![low, low], Some(false)),
        (vec![low, auto], None),
        (vec![none, low], None),
        (vec![low, high, auto], Some(true)),
        (vec![text], None),
    ] {
        assert_eq!(splitting(&items.join(",")).unwrap(), expected, "{items:?}");
    }
    let error = splitting(&low.replace("low", "much")).unwrap_err().to_string();
    assert!(error.contains("low, high, original or auto"), "{error}");
}
