//! A server with the bundled model, for tests of clients in other languages.

use crate::process::{cargo, root, target};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running server. Dropping it ends it.
pub struct Server {
    process: Child,
    url: String,
}

/// Builds the command.
pub fn build() -> Result<(), String> {
    cargo("build --package smolvlm-cli")
}

impl Server {
    /// Starts the command that was built, and waits until the model is loaded. Requests need `key`, unless it is empty.
    pub fn start(key: &str) -> Result<Self, String> {
        let program = target().join("debug/smolvlm");
        let mut command = Command::new(&program);
        command.args(["serve", "--model", "demo", "--port", "0"]).current_dir(root());
        command.env("SMOLVLM_API_KEY", key).env("SMOLVLM_DEVICE", "cpu").stderr(Stdio::piped());
        let process = command.spawn().map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut server = Self { process, url: String::new() };
        server.url = server.wait()?;
        Ok(server)
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn wait(&mut self) -> Result<String, String> {
        let stderr = self.process.stderr.take().ok_or("the server has no stderr")?;
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
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
