//! Images and videos over HTTP.

use std::time::Duration;

use ureq::Agent;

use crate::error::{Error, Position};
use crate::limits::ProcessorLimits;
use crate::source::shorten;

/// Longest headers of one response, in bytes.
const MAX_HEADERS: usize = 64 << 10;

/// Fetches a URL of at most `limit` bytes within the limits on time and redirects.
pub(crate) fn get(url: &str, limit: u64, limits: &ProcessorLimits, at: Position) -> Result<Vec<u8>, Error> {
    let agent: Agent = Agent::config_builder()
        // Zero would mean no limit to the client.
        .timeout_global(Some(limits.http_timeout.max(Duration::from_millis(1))))
        .max_redirects(limits.http_redirects)
        .max_response_header_size(MAX_HEADERS)
        .user_agent(concat!("smolvlm/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let fetch = || agent.get(url).call()?.into_body().into_with_config().limit(limit).read_to_vec();
    fetch().map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => Error::TooLarge { what: format!("{at}{}", shorten(url)), limit },
        error => Error::Http { at, url: shorten(url), reason: error.to_string() },
    })
}
