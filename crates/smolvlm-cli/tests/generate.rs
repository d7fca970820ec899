//! `generate` on files with many conversations, some of them invalid.

mod support;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use support::Workspace;

const SETTINGS: [&str; 5] = ["--random", "tiny", "--max-new-tokens", "3", "--json"];

fn question(text: &str) -> Value {
    json!([{"role": "user", "content": [{"type": "text", "text": text}]}])
}

/// The exit code, the answers and the lines of stderr.
fn generate(workspace: &Workspace, file: &str, more: &[&str]) -> (i32, Vec<Value>, Vec<String>) {
    let args = [&["generate", "--conversation", file], &SETTINGS[..], more].concat();
    let output = workspace.run(&args);
    let lines = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let answers = lines(output.stdout).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), answers, lines(output.stderr))
}

fn indices(answers: &[Value]) -> Vec<u64> {
    answers.iter().map(|answer| answer["conversation"].as_u64().unwrap()).collect()
}

#[test]
fn answers_do_not_depend_on_batch_size_or_file_format() {
    let workspace = Workspace::empty();
    let questions: Vec<Value> = (0..5).map(|index| question(&"word ".repeat(3 * index + 1))).collect();
    workspace.write("list.json", json!(questions).to_string().as_bytes());
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    workspace.write("lines.jsonl", lines.as_bytes());
    let objects: String = questions.iter().map(|question| json!({"messages": question}).to_string() + "\n\n").collect();
    workspace.write("objects", objects.as_bytes());

    let tokens = |file: &str, more: &[&str]| {
        let (code, answers, errors) = generate(&workspace, file, more);
        assert_eq!((code, errors), (0, vec![]), "{file}");
        assert_eq!(indices(&answers), [0, 1, 2, 3, 4], "{file}");
        answers.into_iter().map(|answer| answer["token_ids"].clone()).collect::<Vec<_>>()
    };
    let whole = tokens("list.json", &[]);
    for (file, batch) in [("list.json", "1"), ("list.json", "2"), ("lines.jsonl", "3"), ("objects", "8")] {
        assert_eq!(tokens(file, &["--batch-size", batch]), whole, "{file} in batches of {batch}");
    }
    let (_, several, _) =
        generate(&workspace, "list.json", &["--num-beams", "2", "--num-return-sequences", "2", "--batch-size", "3"]);
    assert_eq!(indices(&several), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
}

#[test]
fn an_invalid_conversation_is_a_one_line_error() {
    let workspace = Workspace::empty();
    let missing = json!([{"role": "user", "content": [{"type": "image", "path": "no-such.png"}]}]);
    let items = [
        question("a").to_string(),
        "[{\"role\": user}]".to_owned(),
        missing.to_string(),
        question("b").to_string(),
        question(&"long ".repeat(9000)).to_string(),
        "42".to_owned(),
        "[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"\u{fffd}\"}]".to_owned(),
        question("c").to_string(),
    ];
    let causes = [(1, "line 2, column 11"), (2, "no-such.png"), (4, "8192"), (5, "list of messages")];
    for (file, text) in [
        ("list.json", format!("[{}]", items[..6].join(",\n"))),
        ("lines.jsonl", items.join("\n")),
        ("list-of-all", format!("[{}]", [&items[..6], &items[7..]].concat().join(",\n"))),
    ] {
        workspace.write(file, text.as_bytes());
        let (code, answers, errors) = generate(&workspace, file, &[]);
        let (answered, more) = match file {
            "list.json" => (vec![0, 3], None),
            "lines.jsonl" => (vec![0, 3, 7], Some((6, "line 7"))),
            _ => (vec![0, 3, 6], None),
        };
        assert_eq!((code, indices(&answers)), (1, answered), "{file}: {errors:?}");
        let causes: Vec<_> = causes.iter().copied().chain(more).collect();
        assert_eq!(errors.len(), causes.len(), "{errors:?}");
        for (error, (index, cause)) in errors.iter().zip(causes) {
            let named = (0..items.len()).filter(|index| error.contains(&format!("conversation {index}")));
            assert_eq!(named.collect::<Vec<_>>(), [index], "{error}");
            assert!(error.contains(cause) && error.starts_with("smolvlm: "), "{error}");
        }
    }
}

#[test]
fn conversations_of_a_pipe_are_answered_line_by_line() {
    let workspace = Workspace::empty();
    let args = [&["generate", "--conversation", "-"], &SETTINGS[..]].concat();
    let mut command = workspace.command(&args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    for index in 0..3_u64 {
        // The next question is sent after the answer.
        writeln!(stdin, "{}", question("Why?")).unwrap();
        let answer: Value = serde_json::from_str(&stdout.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["conversation"], index);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_unreadable_file_is_one_error() {
    let workspace = Workspace::empty();
    std::fs::create_dir(workspace.path("folder")).unwrap();
    for file in ["nowhere.json", "folder"] {
        let (code, answers, errors) = generate(&workspace, file, &[]);
        assert!(code == 1 && answers.is_empty() && errors.len() == 1 && errors[0].contains(file), "{errors:?}");
    }
    workspace.write("empty.json", b"");
    workspace.write("cut.json", format!("[{}", question("a")).as_bytes());
    for (file, answered) in [("empty.json", 0), ("cut.json", 1)] {
        let (code, answers, errors) = generate(&workspace, file, &[]);
        assert!(code == 1 && answers.len() == answered && errors.len() == 1, "{file}: {errors:?}");
        assert!(errors[0].contains("EOF"), "{errors:?}");
    }
}
