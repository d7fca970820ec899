//! `cargo xtask llama-suite`: tests of llama.cpp's server against ours.

use crate::process::{execute, execute_with, python_environment, root};
use crate::server::{self, Server};
use std::path::Path;

/// The source package that contains the tests, and their folder in it.
const PACKAGE: &str = "llama-cpp-python";
const VERSION: &str = "0.3.36";
const TESTS: &str = "vendor/llama.cpp/tools/server/tests";

/// The key that the tests of keys expect.
const KEY: &str = "sk-this-is-the-secret-key";

/// Tests that do not depend on llama.cpp's own models, templates, routes or options.
const ROWS: &[&str] = &[
    "basic.py::test_server_start_simple",
    "chat_completion.py::test_chat_template_continue_final_message_mutual_exclusion",
    "chat_completion.py::test_completion_with_response_format[response_format4-0-None]",
    "chat_completion.py::test_completion_with_response_format[response_format5-0-None]",
    "chat_completion.py::test_completion_with_response_format[response_format6-0-None]",
    "chat_completion.py::test_completion_with_response_format[response_format7-0-None]",
    "chat_completion.py::test_completion_with_invalid_grammar",
    "chat_completion.py::test_invalid_chat_completion_req[None]",
    "chat_completion.py::test_invalid_chat_completion_req[string]",
    "chat_completion.py::test_invalid_chat_completion_req[messages2]",
    "chat_completion.py::test_invalid_chat_completion_req[messages3]",
    "chat_completion.py::test_invalid_chat_completion_req[messages4]",
    "chat_completion.py::test_invalid_chat_completion_req[messages5]",
    "chat_completion.py::test_invalid_chat_completion_req[messages6]",
    "chat_completion.py::test_chat_completion_with_timings_per_token",
    "chat_completion.py::test_logprobs",
    "chat_completion.py::test_logprobs_stream",
    "chat_completion.py::test_logit_bias",
    "chat_completion.py::test_chat_completions_token_count",
    "tokenize.py::test_tokenize_detokenize",
    "tokenize.py::test_tokenize_with_pieces",
    "security.py::test_local_media_file[None-file://mtmd/test-1.jpeg-False]",
    "vision_api.py::test_vision_chat_completion[What is this:\\n-malformed-False-None]",
];

/// Those that need a server with a key.
const KEY_ROWS: &[&str] = &[
    "security.py::test_access_public_endpoint[/health]",
    "security.py::test_incorrect_api_key[None]",
    "security.py::test_incorrect_api_key[invalid-key]",
    "security.py::test_openai_library_correct_api_key",
];

/// Downloads the tests and makes a Python environment for them (once, under `target/`), builds the command, serves the
/// bundled model with it, and runs the tests.
pub fn run() -> Result<(), String> {
    let folder = root().join("target/llama-suite");
    let packages = ["--requirement", "tests/server/llama-requirements.txt"];
    let python = python_environment(&folder.join("python"), &packages)?.join("python");
    let tests = fetch(&folder, &python)?;
    server::build()?;
    for (key, rows) in [("", ROWS), (KEY, KEY_ROWS)] {
        let server = Server::start(key)?;
        let port = server.url().rsplit(':').next().unwrap_or_default();
        let rows = rows.iter().map(|row| format!("{}/unit/test_{row}", tests.display()));
        let pytest = ["-m", "pytest", "-p", "no:cacheprovider", "--quiet"].map(str::to_owned);
        execute_with(&[("DEBUG_EXTERNAL", "1"), ("PORT", port)], &python, pytest.into_iter().chain(rows))?;
    }
    Ok(())
}

/// The folder of the tests.
fn fetch(folder: &Path, python: &Path) -> Result<std::path::PathBuf, String> {
    let name = format!("llama_cpp_python-{VERSION}");
    let tests = folder.join(&name).join(TESTS);
    if !tests.exists() {
        let target = folder.to_string_lossy().into_owned();
        let download = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PACKAGE, "--dest", &target];
        let package = format!("{PACKAGE}=={VERSION}");
        execute(python, download.into_iter().chain([package.as_str()]))?;
        let archive = folder.join(format!("{name}.tar.gz")).to_string_lossy().into_owned();
        execute("tar", ["-xzf", &archive, "-C", &target, &format!("{name}/{TESTS}")])?;
    }
    Ok(tests)
}
