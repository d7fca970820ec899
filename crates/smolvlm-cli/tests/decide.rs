//! `decide`: questions of the demo's world, and calibration from labels.

mod support;

use serde_json::{Value, json};
use support::{Workspace, test_file};

const CHOICE: &str = "What colour is the circle?: red | green | blue | white";
const NUMBER: &str = "How many shapes are there?: 0..9";

fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("shapes.png", &test_file("corpus/world/shapes.png"));
    workspace
}

fn decisions(workspace: &Workspace, more: &[&str]) -> Vec<Value> {
    let args = ["decide", "shapes.png", "--model", "demo", "--json", "--choose", CHOICE, "--number", NUMBER];
    let lines = workspace.succeeds(&[&args, more].concat());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn answers_have_probabilities() {
    let workspace = workspace();
    let json = decisions(&workspace, &["--yes-no", "Is a circle round?"]);
    let kinds: Vec<&str> = json.iter().map(|decision| decision["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["yes_no", "choice", "number"]);
    for decision in &json {
        let options = decision["options"].as_array().unwrap();
        let sum: f64 = options.iter().map(|option| option["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{decision}");
        assert!(options.iter().any(|option| option["option"] == decision["answer"]), "{decision}");
    }
    let table =
        workspace.succeeds(&["decide", "shapes.png", "--model", "demo", "--choose", CHOICE, "--number", NUMBER]);
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    assert_eq!(lines[0], "What colour is the circle?");
    assert!(lines[1].starts_with(json[1]["answer"].as_str().unwrap()) && lines[1].ends_with('%'), "{table}");
    assert!(table.contains("5 others") && lines.last().unwrap().starts_with("mean "), "{table}");
    let text = workspace.succeeds(&["decide", "--model", "demo", "--yes-no", "Is a circle round?"]);
    assert!(text.lines().nth(1).unwrap().trim().starts_with("yes"), "{text}");
}

#[test]
fn temperatures_are_fitted_to_labels_and_used() {
    let workspace = workspace();
    let before = decisions(&workspace, &[]);
    let color = json!({
        "media": ["shapes.png"], "type": "choice", "question": "What colour is the circle?",
        "options": ["red", "green", "blue", "white"],
    });
    // Labels of which half are wrong: the model is too sure of its answers.
    let answers = [before[0]["answer"].as_str().unwrap(), "white"];
    let mut labels = String::new();
    for index in 0..8 {
        let mut label = color.clone();
        label["answer"] = json!(answers[index % 2]);
        labels += &format!("{label}\n");
    }
    labels += &format!("\n{}\n", json!({"type": "yes_no", "question": "Is a circle round?", "answer": true}));
    workspace.write("labels.jsonl", labels.as_bytes());
    let table =
        workspace.succeeds(&["decide", "--model", "demo", "--fit", "labels.jsonl", "--calibration", "fitted.json"]);
    let row = |kind: &str| -> Vec<String> {
        let row = table.lines().find(|line| line.starts_with(kind)).unwrap_or_else(|| panic!("{table}"));
        row.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!((row("choice")[1].as_str(), row("choice")[2].as_str()), ("8", "50.0"));
    assert_eq!((row("yes_no")[1].as_str(), row("yes_no")[2].as_str()), ("1", "100.0"));
    assert!(!table.contains("number"), "{table}");
    let fitted: Value = serde_json::from_slice(&std::fs::read(workspace.path("fitted.json")).unwrap()).unwrap();
    assert!(fitted["choice"].as_f64().unwrap() > 2.0 && fitted["number"] == 1.0, "{fitted}");
    let after = decisions(&workspace, &["--calibration", "fitted.json"]);
    assert_eq!(before[0]["answer"], after[0]["answer"]);
    assert!(before[0]["probability"].as_f64() > after[0]["probability"].as_f64());
    assert_eq!(before[1], after[1]);
}

#[test]
fn invalid_questions_and_files_are_reported_before_the_model_is_loaded() {
    let workspace = workspace();
    workspace.write("bad.json", b"{\"choice\": 0}");
    workspace
        .write("bad.jsonl", b"{\"type\": \"yes_no\", \"question\": \"?\", \"answer\": true}\n{\"type\": \"choice\"}");
    workspace.write("empty.jsonl", b"\n");
    let asking = ["decide", "shapes.png", "--model", "nowhere"];
    for (more, expected) in [
        (&["--choose", "Which?: a | "][..], "question 0 (options): entry 1 is empty"),
        (&["--number", "How many?: 3..2"], "question 0 (max): must be at least min, 3, not 2"),
        (&["--yes-no", " "], "question 0 (question): must not be empty"),
        (&["--yes-no", "?", "--calibration", "bad.json"], "choice is 0"),
        (&["--yes-no", "?", "--calibration", "missing.json"], "missing.json"),
    ] {
        let line = workspace.fails(&[&asking, more].concat());
        assert!(line.contains(expected), "{line}");
    }
    for (labels, expected) in [("bad.jsonl", "line 2"), ("empty.jsonl", "no labels"), ("missing.jsonl", "missing")] {
        let line = workspace.fails(&["decide", "--model", "nowhere", "--fit", labels, "--calibration", "fitted.json"]);
        assert!(line.contains(labels) && line.contains(expected), "{line}");
    }
    workspace
        .write("other.jsonl", b"{\"type\": \"choice\", \"question\": \"?\", \"options\": [\"a\"], \"answer\": \"b\"}");
    let line = workspace.fails(&["decide", "--model", "demo", "--fit", "other.jsonl", "--calibration", "fitted.json"]);
    assert!(line.contains("line 1") && line.contains("not one of the possible"), "{line}");
    assert!(!std::path::Path::new(&workspace.path("fitted.json")).exists());
    // Arguments that do not fit together.
    for args in [
        &["decide", "shapes.png"][..],
        &["decide", "--fit", "labels.jsonl"],
        &["decide", "--number", "How many?", "shapes.png"],
    ] {
        assert_eq!(workspace.run(args).status.code(), Some(2), "{args:?}");
    }
}
