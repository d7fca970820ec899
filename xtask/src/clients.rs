//! `cargo xtask clients`: clients of other languages against the server.

use crate::process::{execute, python_environment, root};
use crate::server::{self, Server};

const IMAGE: &str = "tests/corpus/world/shapes.png";

/// Makes a Python environment with the pinned clients (once, under `target/`), builds the command, serves the bundled
/// model with it, and runs the clients.
pub fn run() -> Result<(), String> {
    let packages = ["--requirement", "tests/server/requirements.txt"];
    let python = python_environment(&root().join("target/server-python"), &packages)?.join("python");
    server::build()?;
    let server = Server::start("secret")?;
    execute(&python, ["tests/server/clients.py", server.url(), IMAGE])
}
