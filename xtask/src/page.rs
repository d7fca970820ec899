//! `cargo xtask page`: the server's page in Chromium.

use crate::process::{execute, execute_with, root};
use crate::server::{self, Server};
use std::path::Path;

/// Chromium of the system, unless the environment variable `CHROMIUM` names another one.
const CHROMIUM: &str = "/usr/bin/chromium";
/// The API key that the page asks for.
const KEY: &str = "secret";

/// Installs the pinned driver of browsers and axe (under `target/page`), builds the command, serves the bundled model
/// with it, and uses its page. Screenshots are written to `target/page/screenshots`.
pub fn run() -> Result<(), String> {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| CHROMIUM.to_owned());
    if !Path::new(&chromium).exists() {
        return Err(format!("there is no {chromium}; install Chromium, or set CHROMIUM to the path of one"));
    }
    let folder = root().join("target/page");
    let screenshots = folder.join("screenshots");
    std::fs::create_dir_all(&screenshots).map_err(|error| format!("cannot create target/page: {error}"))?;
    std::fs::copy(root().join("tests/page/package.json"), folder.join("package.json"))
        .map_err(|error| format!("cannot copy package.json: {error}"))?;
    let quiet = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent", "--prefix", "target/page"];
    execute("npm", quiet)?;
    server::build()?;
    let server = Server::start(KEY)?;
    let variables = [
        ("CHROMIUM", chromium.as_str()),
        ("NODE_PATH", "target/page/node_modules"),
        ("PAGE_KEY", KEY),
        ("PAGE_SCREENSHOTS", "target/page/screenshots"),
        ("PAGE_URL", server.url()),
    ];
    execute_with(&variables, "node", ["--test-reporter=spec", "tests/page/browser.cjs"])
}
