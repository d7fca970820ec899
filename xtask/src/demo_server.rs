//! A server with the bundled model, for tests from outside.

use crate::process::{root, target};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The API key of the server.
pub const KEY: &str = "secret";

/// A running server. Dropping it ends it.
pub struct DemoServer(Child);

impl DemoServer {
    /// Starts the debug build of the command on a free port.
    pub fn start() -> Result<Self, String> {
        let program = target().join("debug/smolvlm");
        let mut command = Command::new(&program);
        command.args(["serve", "--model", "demo", "--port", "0"]).current_dir(root());
        command.env("SMOLVLM_API_KEY", KEY).env("SMOLVLM_DEVICE", "cpu").stderr(Stdio::piped());
        command.spawn().map(Self).map_err(|error| format!("cannot start {}: {error}", program.display()))
    }

    /// The address, as soon as the model is loaded.
    pub fn url(&mut self) -> Result<String, String> {
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

impl Drop for DemoServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
