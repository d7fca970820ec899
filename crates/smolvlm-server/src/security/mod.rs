//! Access control: API keys, host names, and web pages of other sites.

mod keys;
mod origin;

pub(crate) use keys::Keys;
pub(crate) use origin::cors;

use crate::api_error::ApiError;
use crate::page;
use crate::state::Shared;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Paths that need no key besides the files of the page: monitors have none.
const PUBLIC: [&str; 2] = ["/health", "/v1/health"];

/// Checks each request before its body is read, those to unknown paths included.
pub(crate) async fn guard(State(app): State<Shared>, request: Request, next: Next) -> Response {
    match check(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(app: &Shared, request: &Request) -> Result<(), ApiError> {
    let (config, headers) = (&app.config, request.headers());
    let host = origin::host(request);
    if config.address.ip().is_loopback() && !host.is_none_or(|host| origin::is_local(host, &config.allowed_hosts)) {
        return Err(ApiError::forbidden("this host name is not allowed here; allow it with --allow-host"));
    }
    if !origin::is_allowed(headers, host, &config.cors_origins) {
        return Err(ApiError::forbidden("web pages of this origin are not allowed here; allow it with --cors-origin"));
    }
    let path = request.uri().path();
    if PUBLIC.contains(&path) || page::is_file(path) || app.keys.admit(headers) {
        Ok(())
    } else {
        Err(ApiError::unauthorized())
    }
}
