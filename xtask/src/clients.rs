//! `cargo xtask clients`: clients of other languages against the server.

use crate::process::{cargo, execute, python_environment, root, target};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const IMAGE: &str = "tests/corpus/world/shapes.png";

/// Makes a Python environment with the pinned clients (once, under `target/`), builds the command, serves the bundled
/// model with it, and runs the clients.
pub fn run() -> Result<(), String> {
    let packages = ["--requirement", "tests/server/requirements.txt"];
    let python = python_environment(&root().join("target/server-python"), &packages)?.join("python");
    cargo("build --package smolvlm-cli")?;
    let mut server = Server::start()?;
    let url = server.url()?;
    execute(&python, ["tests/server/clients.py", &url, IMAGE])
}

/// A running server. Dropping it ends it.
struct Server(Child);

impl Server {
    fn start() -> Result<Self, String> {
        let program = target().join("debug/smolvlm");
        let mut command = Command::new(&program);
        command.args(["serve", "--model", "demo", "--port", "0"]).current_dir(root());
        command.env("SMOLVLM_API_KEY", "secret").env("SMOLVLM_DEVICE", "cpu").stderr(Stdio::piped());
        command.spawn().map(Self).map_err(|error| format!("cannot start {}: {error}", program.display()))
    }

    /// The address, as soon as the model is loaded.
    fn url(&mut self) -> Result<String, String> {
        let stderr = self.0.stderr.take().ok_or("the server has no stderr")?;
        let mut url = None;
        for line in BufReader::new(stderr).lines() {
            let line = line.map_err(|error| error.to_string())?;
            if let Some((_, address)) = line.split_once("listening on ") {
                url = Some(address.to_owned());
            }
            if line.ends_with("ready") {
                return url.ok_or_else(|| "the server printed no address".to_owned());
            }
        }
        Err("the server ended before it was ready".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
