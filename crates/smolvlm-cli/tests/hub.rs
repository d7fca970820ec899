//! Models given as a hub repository, against a local mock of the hub.

#[allow(dead_code)]
#[path = "../../smolvlm-hub/tests/support/server/mod.rs"]
mod server;
mod support;

use server::HubServer;
use std::process::{Command, Output};
use support::Workspace;

const REPO: &str = "owner/name";

/// Moves the workspace's small random checkpoint to a mock hub.
fn hub(workspace: &Workspace) -> HubServer {
    let files = std::fs::read_dir(workspace.checkpoint()).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    });
    let files: Vec<(String, Vec<u8>)> = files.collect();
    std::fs::remove_dir_all(workspace.checkpoint()).unwrap();
    HubServer::start(REPO, files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect())
}

/// A command that needs the checkpoint's files, with the environment variables of the hub.
fn command(workspace: &Workspace, server: &HubServer, model: &str) -> Command {
    let chat = workspace.write("chat.json", br#"[{"role": "user", "content": [{"type": "text", "text": "What?"}]}]"#);
    let mut command = workspace.command(&["estimate", "--conversation", &chat, "--model", model]);
    // An empty variable counts as unset.
    command.env("HF_HUB_OFFLINE", "").env("TRANSFORMERS_OFFLINE", "").env("HF_TOKEN", "").env("HF_HUB_CACHE", "");
    command.env("HF_ENDPOINT", server.url());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_complete_cache_is_used_with_a_note_when_the_hub_denies_access() {
    let workspace = Workspace::with_checkpoint();
    let server = hub(&workspace);
    let output = command(&workspace, &server, REPO).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let answer = output.stdout;

    server.show_page("/", 401);
    let output = command(&workspace, &server, REPO).env("HF_TOKEN", "hf_expired").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(output.stdout, answer);
    let note = stderr(&output);
    assert!(note.starts_with("smolvlm: note: ") && note.lines().count() == 1, "{note}");
    assert!(note.contains("HF_TOKEN") && !note.contains("hf_expired"), "{note}");

    server.take_requests();
    let output = command(&workspace, &server, REPO).env("TRANSFORMERS_OFFLINE", "1").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let output = command(&workspace, &server, "owner/other").env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(output.status.code() == Some(1) && stderr(&output).contains("TRANSFORMERS_OFFLINE"), "{}", stderr(&output));
    assert_eq!(server.take_requests().len(), 0);
}

#[test]
fn the_token_is_sent_unless_disabled() {
    let workspace = Workspace::with_checkpoint();
    let server = hub(&workspace);
    let token = |command: &mut Command| command.env("HF_TOKEN", "hf_right").output().unwrap();
    let output = token(command(&workspace, &server, REPO).env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(server.tokens(), 0);
    let output = token(&mut command(&workspace, &server, REPO));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(server.tokens() > 0);
}

#[test]
fn proxy_authentication_errors_mention_the_proxy() {
    let workspace = Workspace::empty();
    let server = HubServer::start(REPO, Vec::new());
    server.show_page("", 407);
    for endpoint in ["http://hub.invalid", "https://hub.invalid"] {
        let mut command = command(&workspace, &server, REPO);
        command.env("HF_ENDPOINT", endpoint).env("NO_PROXY", "").env("no_proxy", "");
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env(variable, server.url());
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("proxy"), "{endpoint}: {}", stderr(&output));
        assert!(!server.take_requests().is_empty());
    }
}

#[test]
fn a_mistyped_path_sends_no_request() {
    let workspace = Workspace::empty();
    let server = HubServer::start(REPO, Vec::new());
    std::fs::create_dir_all(workspace.path("models/smolvlm-256m")).unwrap();
    for typo in
        ["models/smolvlm-256", "models", "modles", "models/", "smolvlm-256m", "models/smolvlm-256m/model.safetensors"]
    {
        let output = command(&workspace, &server, typo).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{typo}");
        let error = stderr(&output);
        assert!(error.contains("models/smolvlm-256m?") == (typo == "models/smolvlm-256"), "{typo}: {error}");
        assert!(error.contains("folder models?") == (typo == "modles"), "{typo}: {error}");
    }
    assert_eq!(server.take_requests().len(), 0);
}
