//! `chat` with a pipe as stdin.

mod support;

use serde_json::{Value, json};
use std::fs;
use support::{Workspace, test_file};

const SETTINGS: [&str; 5] = ["--random", "tiny", "--max-new-tokens", "8", "--no-loop-guard"];

fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("landscape.png", &test_file("golden/media/landscape.png"));
    workspace
}

/// Runs a chat that must succeed and returns its stdout and stderr.
fn chat(workspace: &Workspace, more: &[&str], lines: &str) -> (String, String) {
    chat_with_code(workspace, more, lines, 0)
}

/// Runs a chat that must end with this exit code and returns its stdout and stderr.
fn chat_with_code(workspace: &Workspace, more: &[&str], lines: &str, code: i32) -> (String, String) {
    let output = workspace.run_with_input(&[&["chat"], &SETTINGS[..], more].concat(), lines.as_bytes());
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    (stdout, stderr)
}

/// The answer of `generate` to messages.
fn answer(workspace: &Workspace, messages: &[Value]) -> String {
    workspace.write("asked.json", json!(messages).to_string().as_bytes());
    let args = [&["generate", "--conversation", "asked.json", "--json"], &SETTINGS[..]].concat();
    let answer: Value = serde_json::from_str(&workspace.succeeds(&args)).unwrap();
    answer["text"].as_str().unwrap().trim_start().to_owned()
}

fn saved(workspace: &Workspace, name: &str) -> Vec<Value> {
    serde_json::from_slice(&fs::read(workspace.path(name)).unwrap()).unwrap()
}

fn text(role: &str, text: &str) -> Value {
    json!({"role": role, "content": [{"type": "text", "text": text}]})
}

#[test]
fn every_turn_has_the_answer_of_generate_to_the_whole_conversation() {
    let workspace = workspace();
    let lines = "/image landscape.png\nWhat is this?\n\nAnd what else?\n/save saved.json\n";
    let (stdout, stderr) = chat(&workspace, &[], lines);
    assert_eq!(stderr, "");

    let messages = saved(&workspace, "saved.json");
    let roles: Vec<&Value> = messages.iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    let shown = json!([{"type": "image", "path": "landscape.png"}, {"type": "text", "text": "What is this?"}]);
    assert_eq!(messages[0]["content"], shown);

    let answers = [answer(&workspace, &messages[..1]), answer(&workspace, &messages[..3])];
    assert_eq!(stdout, format!("{}\n{}\n", answers[0], answers[1]));
    assert_eq!(messages[3], text("assistant", &answers[1]));
}

#[test]
fn a_chat_continues_a_saved_conversation() {
    let workspace = workspace();
    chat(&workspace, &["--system", "Be brief."], "Hello\n/save saved.json\n");
    let mut messages = saved(&workspace, "saved.json");
    assert_eq!(messages[0], text("system", "Be brief."));

    let (stdout, _) = chat(&workspace, &["--conversation", "saved.json"], "Go on.\n");
    messages.push(text("user", "Go on."));
    assert_eq!(stdout, answer(&workspace, &messages) + "\n");
}

#[test]
fn an_invalid_line_is_a_one_line_error_and_the_chat_continues() {
    let workspace = workspace();
    workspace.write("letter.txt", b"no picture\n");
    let lines =
        "/nonsense\n/image no-such.png\n/image\n/save never.json\n/image letter.txt\nWhat?\nHello\n/save saved.json\n";
    let (stdout, stderr) = chat_with_code(&workspace, &[], lines, 1);
    let errors: Vec<&str> = stderr.lines().collect();
    let causes = ["/nonsense", "no-such.png", "/image needs", "never.json", "letter.txt"];
    assert_eq!(errors.len(), causes.len(), "{stderr}");
    for (error, cause) in errors.iter().zip(causes) {
        assert!(error.starts_with("smolvlm: ") && error.contains(cause), "{error:?} does not say {cause:?}");
    }
    // The question with the invalid image is not in the history.
    let messages = saved(&workspace, "saved.json");
    assert_eq!(messages[..1], [text("user", "Hello")]);
    assert_eq!(stdout, answer(&workspace, &messages[..1]) + "\n");
}

#[test]
fn a_line_that_is_not_utf8_is_skipped() {
    let workspace = workspace();
    let args = [&["chat"], &SETTINGS[..]].concat();
    let output = workspace.run_with_input(&args, b"\xff\xfe\nHello\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), answer(&workspace, &[text("user", "Hello")]) + "\n");
}

#[test]
fn commands_print_to_stderr_only() {
    let workspace = workspace();
    let (stdout, stderr) =
        chat(&workspace, &[], "/help\n/system Be brief.\n/image landscape.png\n/history\n/quit\nHello\n");
    assert_eq!(stdout, "");
    assert!(stderr.contains("/save FILE") && stderr.ends_with("system: Be brief.\n"), "{stderr}");
    assert_eq!(chat(&workspace, &[], ""), (String::new(), String::new()));
}

#[test]
fn reset_keeps_only_the_initial_system_message() {
    let workspace = workspace();
    let lines = "/image landscape.png\nHello\n/image landscape.png\n/reset\n/history\nHello\n";
    let (stdout, stderr) = chat(&workspace, &["--system", "Be brief."], lines);
    assert_eq!(stderr, "system: Be brief.\n");
    let fresh = answer(&workspace, &[text("system", "Be brief."), text("user", "Hello")]);
    assert!(stdout.ends_with(&format!("{fresh}\n")), "{stdout:?} does not end with {fresh:?}");
}

#[test]
fn paths_are_quoted_and_expanded_as_in_a_shell() {
    let workspace = workspace();
    let picture = test_file("golden/media/landscape.png");
    workspace.write("my photo (1).png", &picture);
    workspace.write("home.png", &picture);
    let lines = "/image 'my photo (1).png'\n/image \"my photo (1).png\" ~/home.png\nWhat?\n/save ~/saved.json\n";
    let lines = if cfg!(unix) { format!("/image my\\ photo\\ \\(1\\).png\n{lines}") } else { lines.to_owned() };
    let mut command = workspace.command(&[&["chat"], &SETTINGS[..]].concat());
    command.env(if cfg!(windows) { "USERPROFILE" } else { "HOME" }, workspace.path(""));
    let output = workspace.run_command(command, lines.as_bytes());
    assert!(output.status.success(), "{output:?}");
    let media = saved(&workspace, "saved.json")[0]["content"].as_array().unwrap().len() - 1;
    assert_eq!(media, if cfg!(unix) { 4 } else { 3 });
}

#[test]
fn a_full_context_is_an_error_that_suggests_reset() {
    let workspace = workspace();
    let long = "word ".repeat(9000);
    let (stdout, stderr) = chat_with_code(&workspace, &[], &format!("Hello\n{long}\n/reset\nHello\n"), 1);
    assert!(stderr.lines().count() == 1 && stderr.contains("8192") && stderr.contains("/reset"), "{stderr}");
    let fresh = answer(&workspace, &[text("user", "Hello")]);
    assert_eq!(stdout, format!("{fresh}\n{fresh}\n"));
}

#[test]
fn later_turns_reuse_the_cache() {
    let workspace = workspace();
    let (_, stderr) = chat(&workspace, &["--timings"], "/image landscape.png\nWhat?\nWhy?\n");
    let times: Vec<&str> = stderr.lines().collect();
    assert_eq!(times.len(), 2, "{stderr}");
    assert!(!times[0].contains("cached") && times[1].contains(" cached)"), "{stderr}");
}

#[test]
fn beam_search_is_an_error_at_the_start() {
    let workspace = workspace();
    let line = workspace.fails(&["chat", "--random", "tiny", "--num-beams", "2"]);
    assert!(line.contains("num_beams"), "{line}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_the_answer_but_not_the_chat() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Command, Stdio};

    // Enough tokens that the answer is still running when it is interrupted.
    const LONG: [&str; 5] = ["--min-new-tokens", "8000", "--max-new-tokens", "8000", "--no-loop-guard"];
    let workspace = workspace();
    let mut command = workspace.command(&[&["chat", "--random", "tiny", "--timings"], &LONG[..]].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let interrupt = format!("kill -INT {}", child.id());

    for turn in 0..2 {
        writeln!(stdin, "Tell me everything.").unwrap();
        let mut first = [0];
        stdout.read_exact(&mut first).unwrap();
        assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
        let times = stderr.next().unwrap();
        assert!(times.contains("(ended by cancelled)"), "{times}");

        // The history contains the partial answer as printed.
        writeln!(stdin, "/save saved.json\n/done").unwrap();
        let done = stderr.next().unwrap();
        assert!(done.contains("/done"), "{done}");
        let messages = saved(&workspace, "saved.json");
        assert_eq!(messages.len(), 2 * turn + 2);
        let text = messages[2 * turn + 1]["content"][0]["text"].as_str().unwrap().to_owned() + "\n";
        let mut printed = vec![0; text.len() - 1];
        stdout.read_exact(&mut printed).unwrap();
        assert_eq!([&first[..], &printed].concat(), text.as_bytes());
    }
    drop(stdin);
    // `/done` is not a command, so the chat ends with an error code.
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
