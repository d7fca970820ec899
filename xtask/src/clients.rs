//! `cargo xtask clients`: clients of other languages against the server.

use crate::demo_server::DemoServer;
use crate::process::{cargo, execute, python_environment, root};

const IMAGE: &str = "tests/corpus/world/shapes.png";

/// Makes a Python environment with the pinned clients (once, under `target/`), builds the command, serves the bundled
/// model with it, and runs the clients.
pub fn run() -> Result<(), String> {
    let packages = ["--requirement", "tests/server/requirements.txt"];
    let python = python_environment(&root().join("target/server-python"), &packages)?.join("python");
    cargo("build --package smolvlm-cli")?;
    let mut server = DemoServer::start()?;
    let url = server.url()?;
    execute(&python, ["tests/server/clients.py", &url, IMAGE])
}
