//! `cargo xtask schemathesis`: requests that are generated from the server's description of its API.

use crate::process::{execute, python_environment, root};
use crate::server::{self, Server};

const PACKAGE: &str = "schemathesis==4.32.5";

/// What every response must fulfill, those to invalid requests included. That valid requests succeed is not checked:
/// the description does not say which data are images, or which prompts fit into the context.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,negative_data_rejection,\
                      missing_required_header,unsupported_method,allow_header_conformance,ignored_auth";

#[derive(clap::Args)]
pub struct Args {
    /// Maximum number of requests per route and phase of the test
    #[arg(long, default_value_t = 50)]
    max_examples: u32,
    /// Seed of the requests
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// Makes a Python environment (once, under `target/`), builds the command, serves the bundled model with it, and sends
/// valid and invalid requests to all routes.
pub fn run(args: &Args) -> Result<(), String> {
    let program = python_environment(&root().join("target/schemathesis"), &[PACKAGE])?.join("schemathesis");
    server::build()?;
    let server = Server::start("secret")?;
    let [examples, seed] = [args.max_examples, args.seed].map(|number| number.to_string());
    let url = format!("{}/openapi.json", server.url());
    let options = ["--header", "Authorization: Bearer secret", "--checks", CHECKS];
    let bounds = ["--max-examples", &examples, "--seed", &seed, "--request-timeout", "60", "--no-shrink"];
    execute(program, [&["run", &url], &options[..], &bounds].concat())
}
