//! `smolvlm serve`: answers requests over HTTP.

use crate::args::Serve;
use crate::failure::Failure;
use crate::say;
use smolvlm::Source;
use smolvlm_server::{Log, Server};

/// Serves until SIGTERM or Ctrl-C. The address is printed to stderr as soon as the server listens; requests are
/// answered with 503 until the model is loaded.
pub fn run(args: Serve) -> Result<(), Failure> {
    let config = args.config(Log::new(|line| say::error(line)));
    if !config.address.ip().is_loopback() && config.api_keys.is_empty() {
        say::note("everyone who can reach this address can use the server; set SMOLVLM_API_KEY to require a key");
    }
    let options = args.model_options(&config);
    // Typing errors in the name are reported before anything listens.
    let _: Source = args.model.source()?;
    let server = Server::bind(config)?;
    say::progress(format_args!("listening on http://{}", server.address()));
    server.run(move || args.model.load_with(options))
}
