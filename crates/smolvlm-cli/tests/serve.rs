//! `serve`: the address, an answer, and SIGTERM.
#![cfg(all(unix, feature = "server", feature = "demo"))]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use support::Workspace;

/// Starts a server; returns its address and the lines of stderr after it.
fn start(workspace: &Workspace, more: &[&str]) -> (Child, String, impl Iterator<Item = String>) {
    let args = [&["serve", "--model", "demo", "--port", "0"], more].concat();
    let mut child = workspace.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    let address = first.strip_prefix("smolvlm: listening on http://").unwrap_or_else(|| panic!("{first}")).to_owned();
    (child, address, lines)
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn answers_until_sigterm() {
    let workspace = Workspace::empty();
    let (mut child, address, mut lines) = start(&workspace, &["--parallel", "1"]);
    assert_eq!(lines.next().unwrap(), "smolvlm: ready");
    let body = r#"{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}"#;
    let head = format!("Host: {address}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    let answer = ask(&address, &format!("POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n{body}"));
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"model\":\"demo\""), "{answer}");
    let status = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(lines.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_key_in_the_environment_is_required() {
    let workspace = Workspace::empty();
    let mut command = workspace.command(&["serve", "--model", "demo", "--port", "0"]);
    let mut child = command.env("SMOLVLM_API_KEY", "secret").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    let address = first.rsplit_once('/').unwrap().1;
    assert_eq!(lines.next().unwrap(), "smolvlm: ready");
    let request = |key: &str| format!("GET /v1/models HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{key}\r\n");
    assert!(ask(address, &request("")).starts_with("HTTP/1.1 401"));
    assert!(ask(address, &request("Authorization: Bearer secret\r\n")).starts_with("HTTP/1.1 200"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn invalid_options_are_errors_of_one_line() {
    let workspace = Workspace::empty();
    assert!(workspace.fails(&["serve", "--model", "no/such/thing"]).contains("no/such/thing"));
    assert!(workspace.fails(&["serve", "--model", "demo", "--cors-origin", "example.com"]).contains("https://"));
    let (mut child, address, _) = start(&workspace, &[]);
    let port = address.rsplit_once(':').unwrap().1;
    assert!(workspace.fails(&["serve", "--model", "demo", "--port", port]).contains("--port"));
    child.kill().unwrap();
    child.wait().unwrap();
}
