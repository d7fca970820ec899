//! `cargo xtask clients`: clients of other projects against the server.

use crate::process::{execute, execute_with, python_environment, root, target};
use crate::server::{self, Server};

const KEY: &str = "secret";
const IMAGE: &str = "tests/corpus/world/shapes.png";

/// Makes a Python environment with the pinned clients (once, under `target/`), builds the command, serves the bundled
/// model with it, and runs the clients: those in Python, then async-openai.
pub fn run() -> Result<(), String> {
    let packages = ["--requirement", "tests/server/requirements.txt"];
    let python = python_environment(&root().join("target/server-python"), &packages)?.join("python");
    server::build()?;
    let server = Server::start(KEY)?;
    execute(&python, ["tests/server/clients.py", server.url(), KEY, IMAGE])?;
    let folder = target().join("async-openai");
    let variables = [("CARGO_TARGET_DIR", &*folder.to_string_lossy())];
    let run = ["run", "--locked", "--quiet", "--manifest-path", "tests/server/async-openai/Cargo.toml", "--"];
    execute_with(&variables, "cargo", run.into_iter().chain([server.url(), KEY, IMAGE]))
}
