//! `batch` on all kinds of data sets, with errors of single rows.

mod support;

use serde_json::{Value, json};
use std::fs;
use support::batch::{SETTINGS, files, lines, rows, run, succeeds, values};
use support::{Workspace, harbour, test_file};

fn question(text: &str) -> Value {
    json!([{"role": "user", "content": [{"type": "text", "text": text}]}])
}

/// The text of another command.
fn text(workspace: &Workspace, args: &[&str]) -> String {
    let text = workspace.succeeds(&[args, &SETTINGS[..]].concat());
    text.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn conversations_are_answered_as_by_generate() {
    let workspace = Workspace::empty();
    let questions: Vec<Value> = (0..7).map(|index| question(&"word ".repeat(3 * index + 1))).collect();
    workspace.write("in.jsonl", lines(questions.iter().map(|messages| json!({"messages": messages}))).as_bytes());
    workspace.write("lists.ndjson", lines(questions.clone()).as_bytes());
    let list = json!(questions.iter().map(|messages| json!({"chat": messages.to_string()})).collect::<Vec<_>>());
    workspace.write("list.json", list.to_string().as_bytes());
    let generated = text(&workspace, &["generate", "--conversation", "in.jsonl", "--json"]);
    let expected: Vec<Value> = generated.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let summary = succeeds(&workspace, "in.jsonl", "out", &["--rows-per-part", "3"]);
    assert!(summary.starts_with("smolvlm: 7 rows, "), "{summary}");
    let names: Vec<String> = files(&workspace, "out").into_keys().collect();
    assert_eq!(names, ["part-00000.jsonl", "part-00001.jsonl", "part-00002.jsonl"]);
    let answers = rows(&workspace, "out");
    assert_eq!(values(&answers, "id"), (0..7).map(|index| json!(index)).collect::<Vec<_>>());
    for key in ["prompt_tokens", "finish_reason"] {
        assert_eq!(values(&answers, key), values(&expected, key), "{key}");
    }
    for (answer, expected) in answers.iter().zip(&expected) {
        assert_eq!(answer["text"], expected["text"].as_str().unwrap().trim_start());
        assert_eq!(answer["completion_tokens"], expected["token_ids"].as_array().unwrap().len());
        assert_eq!((&answer["error"], &answer["notes"]), (&Value::Null, &json!([])));
    }
    for (input, more) in [("lists.ndjson", &["--in-flight", "1"][..]), ("list.json", &["--messages-column", "chat"])] {
        succeeds(&workspace, input, input.split_once('.').unwrap().0, more);
    }
    assert_eq!(rows(&workspace, "lists"), answers);
    assert_eq!(rows(&workspace, "list"), answers);
}

#[test]
fn columns_make_the_conversation() {
    let workspace = Workspace::empty();
    fs::create_dir_all(workspace.path("data/images")).unwrap();
    workspace.write("data/images/a.jpg", &harbour());
    workspace.write("data/b.png", &test_file("corpus/world/shapes.png"));
    let base64 =
        json!({"bytes": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, harbour()), "path": null});
    let data = [
        json!({"key": "first", "photo": "images/a.jpg", "what": "sky"}),
        json!({"key": 2, "photo": {"path": "b.png"}, "what": "form"}),
        json!({"key": "third", "photo": base64, "what": "sky"}),
        json!({"key": "two", "photo": ["images/a.jpg", "b.png"], "what": "difference"}),
    ];
    workspace.write("data/in.jsonl", lines(data).as_bytes());
    let more = ["--prompt", "Which {what} is this?", "--image-column", "photo", "--id-column", "key"];
    let summary = succeeds(&workspace, "data/in.jsonl", "out", &more);
    assert!(summary.contains("images/s"), "{summary}");
    let describe = |media: &[&str], prompt: &str| {
        text(&workspace, &[&["describe", "--no-loop-guard", "--prompt", prompt], media].concat())
    };
    let (a, b) = ("data/images/a.jpg", "data/b.png");
    let sky = describe(&[a], "Which sky is this?");
    let expected = [
        json!(["first", sky]),
        json!([2, describe(&[b], "Which form is this?")]),
        json!(["third", sky]),
        json!(["two", describe(&[a, b], "Which difference is this?")]),
    ];
    let answers = rows(&workspace, "out");
    assert_eq!(answers.iter().map(|answer| json!([answer["id"], answer["text"]])).collect::<Vec<_>>(), expected);
}

#[test]
fn videos_are_columns_too() {
    let workspace = Workspace::empty();
    workspace.write("a.gif", &test_file("corpus/clips/moving.gif"));
    workspace.write("in.jsonl", lines([json!({"clip": "a.gif"})]).as_bytes());
    succeeds(&workspace, "in.jsonl", "out", &["--video-column", "clip"]);
    let expected = text(&workspace, &["describe", "a.gif", "--no-loop-guard"]);
    assert_eq!(values(&rows(&workspace, "out"), "text"), [json!(expected)]);
}

#[test]
fn folders_and_patterns_are_data_sets() {
    let workspace = Workspace::empty();
    fs::create_dir_all(workspace.path("images/below")).unwrap();
    workspace.write("images/z.jpg", &harbour());
    workspace.write("images/below/a.png", &test_file("corpus/world/shapes.png"));
    workspace.write("images/broken.png", b"no image");
    workspace.write("images/notes.txt", b"no medium");
    let summary = succeeds(&workspace, "images", "out", &["--prompt", "What is {path}?"]);
    let answers = rows(&workspace, "out");
    assert_eq!(values(&answers, "id"), ["below/a.png", "broken.png", "z.jpg"]);
    assert!(answers[0]["error"].is_null() && answers[2]["error"].is_null());
    assert!(answers[1]["text"].is_null() && answers[1]["error"].as_str().unwrap().contains("broken.png"));
    assert!(summary.contains("note: row 1 failed") && summary.contains("3 rows, 1 failed"), "{summary}");
    let z = text(&workspace, &["describe", "images/z.jpg", "--no-loop-guard", "--prompt", "What is z.jpg?"]);
    assert_eq!(answers[2]["text"], z);

    succeeds(&workspace, "images/**/[az].*", "pattern", &[]);
    let answers = rows(&workspace, "pattern");
    assert_eq!(values(&answers, "id"), ["below/a.png", "z.jpg"]);
    assert_eq!(answers[1]["text"], text(&workspace, &["describe", "images/z.jpg", "--no-loop-guard"]));

    for part in 0..3 {
        let row = json!({"id": format!("row of {part}"), "messages": question("Why?")});
        workspace.write(&format!("data-{part}.jsonl"), lines([row.clone(), row]).as_bytes());
    }
    succeeds(&workspace, "data-*.jsonl", "several", &[]);
    let ids = values(&rows(&workspace, "several"), "id");
    let expected = ["row of 0", "row of 0", "row of 1", "row of 1", "row of 2", "row of 2"];
    assert_eq!(ids, expected);
}

#[test]
fn errors_of_rows_are_part_of_the_output() {
    let workspace = Workspace::empty();
    workspace.write("broken.jpg", b"no image");
    let data = [
        json!({"image": "broken.jpg", "q": "a"}).to_string(),
        json!({"image": "nowhere.jpg", "q": "a"}).to_string(),
        "{\"image\": ".to_owned(),
        "7".to_owned(),
        json!({"q": "a"}).to_string(),
        json!({"image": null, "q": "a"}).to_string(),
        json!({"image": {"bytes": null, "path": null}, "q": "a"}).to_string(),
        json!({"image": [], "q": "long ".repeat(9000)}).to_string(),
        json!({"image": [], "q": null}).to_string(),
        json!({"image": [], "q": "fine <image>"}).to_string(),
    ];
    workspace.write("in.jsonl", data.join("\n").as_bytes());
    let columns = ["--image-column", "image", "--prompt", "{q}"];
    let summary = succeeds(&workspace, "in.jsonl", "out", &columns);
    assert!(summary.contains("10 rows, 9 failed"), "{summary}");
    let answers = rows(&workspace, "out");
    let causes = [
        "broken.jpg",
        "nowhere.jpg",
        "line 3: EOF",
        "a number",
        "no column 'image'",
        "'image' is null",
        "neither bytes",
        "8192",
        "'q' of the prompt is null",
    ];
    for (index, cause) in causes.into_iter().enumerate() {
        let error = answers[index]["error"].as_str().unwrap();
        assert!(error.contains(cause) && !error.contains("conversation 0"), "{error}");
        assert_eq!((&answers[index]["id"], &answers[index]["text"]), (&json!(index), &Value::Null));
    }
    assert_eq!((&answers[9]["error"], answers.len()), (&Value::Null, 10));

    // Also if the rows failed in an earlier run.
    for out in ["out", "other"] {
        let failed = run(&workspace, "in.jsonl", out, &[&columns[..], &["--fail-on-error"]].concat());
        assert_eq!(failed.status.code(), Some(1));
    }
    assert_eq!(rows(&workspace, "other"), answers);
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    let workspace = Workspace::empty();
    fs::create_dir_all(workspace.path("images")).unwrap();
    fs::create_dir_all(workspace.path("empty")).unwrap();
    workspace.write("images/a.jpg", &harbour());
    workspace.write("in.jsonl", lines([question("Why?")]).as_bytes());
    for (input, more, cause) in [
        ("nowhere.jsonl", &[][..], "nowhere.jsonl"),
        ("empty", &[], "no images or videos"),
        ("in.jsonl", &["--prompt", "Why?"], "all rows would be asked the same"),
        ("in.jsonl", &["--prompt", "Why {"], "braces"),
        ("in.jsonl", &["--num-return-sequences", "2", "--do-sample"], "--num-return-sequences"),
        ("in.jsonl", &["--logprobs", "2"], "--logprobs"),
        ("images", &["--image-column", "image"], "no columns"),
        ("images", &["--prompt", "{name}"], "'name'"),
    ] {
        let error = workspace.fails(&support::batch::args(input, "out", more));
        assert!(error.contains(cause), "{error}");
    }
    assert!(files(&workspace, "out").is_empty());
    for wrong in [&["--shard", "3/2"][..], &["--rows-per-part", "0"], &["--in-flight", "0"], &["--format", "csv"]] {
        assert_eq!(run(&workspace, "in.jsonl", "out", wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn each_row_is_sampled_with_its_own_seed() {
    let workspace = Workspace::empty();
    workspace.write("in.jsonl", lines((0..4).map(|_| question("Why?"))).as_bytes());
    let more = ["--seed", "5", "--top-k", "0", "--temperature", "3"];
    succeeds(&workspace, "in.jsonl", "out", &[&more[..], &["--in-flight", "1"]].concat());
    succeeds(&workspace, "in.jsonl", "again", &[&more[..], &["--in-flight", "4"]].concat());
    let texts = values(&rows(&workspace, "out"), "text");
    assert_eq!(values(&rows(&workspace, "again"), "text"), texts);
    assert!(texts.iter().skip(1).any(|text| *text != texts[0]), "{texts:?}");
    succeeds(&workspace, "in.jsonl", "beams", &["--num-beams", "2"]);
    let beams = text(&workspace, &["generate", "--conversation", "in.jsonl", "--num-beams", "2"]);
    assert_eq!(rows(&workspace, "beams")[0]["text"], beams.lines().next().unwrap());
}
