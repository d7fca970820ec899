//! Requests to the hub, one attempt at a time or several.

use super::names::url_segment;
use super::urls::{join, origin, without_query};
use super::{HubError, HubOptions};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 10;
/// Longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// What a failed attempt leads to.
pub(super) enum Failure {
    /// Trying again may help.
    Transient(HubError),
    /// It will not.
    Final(HubError),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

/// The hub, as seen from one download.
pub(super) struct Client<'a> {
    agent: Agent,
    options: &'a HubOptions,
    endpoint: &'a str,
    repo: &'a str,
    revision: &'a str,
}

impl<'a> Client<'a> {
    /// A client for a repository and a revision that have been checked.
    pub(super) fn new(options: &'a HubOptions, repo: &'a str, revision: &'a str) -> Result<Self, HubError> {
        let endpoint = options.endpoint.trim_end_matches('/');
        if origin(endpoint).is_none() {
            let reason = "must be an address that begins with https:// or http://";
            return Err(HubError::InvalidOption { name: "HF_ENDPOINT", reason });
        }
        if options.token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(HubError::InvalidOption { name: "HF_TOKEN", reason: "holds a character no token has" });
        }
        let wait = Some(options.timeout);
        let agent = Agent::config_builder()
            .timeout_resolve(wait)
            .timeout_connect(wait)
            .timeout_send_request(wait)
            .timeout_recv_response(wait)
            .timeout_per_read(wait)
            // Redirects are followed here, since they decide about the token and carry metadata.
            .max_redirects(0)
            .http_status_as_error(false)
            // A size counts the bytes of the file, not of its compressed form.
            .accept_encoding("identity")
            .user_agent(concat!("smolvlm/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(trusted(options.certificates.as_deref())?).build())
            .build()
            .into();
        Ok(Self { agent, options, endpoint, repo, revision })
    }

    /// Address of the repository's description.
    pub(super) fn listing_url(&self) -> String {
        let revision = url_segment(self.revision);
        format!("{}/api/models/{}/revision/{revision}", self.endpoint, self.repo)
    }

    /// Address of a file of a commit.
    pub(super) fn file_url(&self, commit: &str, file: &str) -> String {
        let path: Vec<String> = file.split('/').map(url_segment).collect();
        format!("{}/{}/resolve/{commit}/{}", self.endpoint, self.repo, path.join("/"))
    }

    /// Makes attempts until one succeeds, fails for good, or `most` have failed in a row. An attempt that got something
    /// done sets the number of failed ones, its argument, back to 0.
    pub(super) fn retry<T>(
        &self,
        most: u32,
        mut attempt: impl FnMut(&mut u32) -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        let mut failed = 0;
        loop {
            match attempt(&mut failed) {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Transient(error)) => {
                    failed += 1;
                    if failed >= most {
                        return Err(error);
                    }
                    let doubled = self.options.pause.saturating_mul(1 << (failed - 1).min(16));
                    thread::sleep(doubled.min(MAX_PAUSE));
                }
            }
        }
    }

    /// Asks for the contents at an address, from a byte on.
    pub(super) fn get(&self, url: &str, file: Option<&str>, from: u64) -> Result<Response<Body>, Failure> {
        let range = (from > 0).then(|| format!("bytes={from}-"));
        self.request(false, url, file, range.as_deref(), |_| false)
    }

    /// Asks for the headers of a file; stops at the first redirect that `enough` says tells all about it.
    pub(super) fn head(&self, url: &str, file: &str, enough: fn(&HeaderMap) -> bool) -> Result<HeaderMap, Failure> {
        self.request(true, url, Some(file), None, enough).map(|response| response.into_parts().0.headers)
    }

    /// One request and the redirects it leads to.
    fn request(
        &self,
        head: bool,
        url: &str,
        file: Option<&str>,
        range: Option<&str>,
        enough: fn(&HeaderMap) -> bool,
    ) -> Result<Response<Body>, Failure> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let at_home = origin(&url) == origin(self.endpoint);
            let mut request = if head { self.agent.head(&url) } else { self.agent.get(&url) };
            if let Some(token) = self.options.token.as_ref().filter(|_| at_home) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(range) = range {
                request = request.header(header::RANGE, range);
            }
            let response = request.call().map_err(|error| transient(&url, error))?;
            let location = response.headers().get(header::LOCATION).filter(|_| response.status().is_redirection());
            match location {
                Some(_) if enough(response.headers()) => return Ok(response),
                Some(location) => {
                    let next = location.to_str().ok().and_then(|location| join(&url, location));
                    url = next.ok_or_else(|| unexpected(&url, "it redirects to an address that cannot be used"))?;
                }
                None => return self.check(response, &url, file, at_home),
            }
        }
        Err(unexpected(&url, "too many redirects").into())
    }

    /// Sorts answers by their status.
    fn check(
        &self,
        response: Response<Body>,
        url: &str,
        file: Option<&str>,
        at_home: bool,
    ) -> Result<Response<Body>, Failure> {
        let status = response.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(response);
        }
        let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        // Another host serves what the hub has signed for a short time: asking the hub again gives a new address.
        if status.is_server_error() || busy || !at_home {
            return Err(transient(url, format_args!("HTTP {}", status.as_u16())));
        }
        let repo = self.repo.to_owned();
        let revision = self.revision.to_owned();
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
        Err(Failure::Final(match (status, code, file) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, ..) => {
                HubError::Unauthorized { repo, status: status.as_u16(), hint: self.access_hint(code) }
            }
            (StatusCode::NOT_FOUND, "RevisionNotFound", _) => HubError::RevisionNotFound { repo, revision },
            (StatusCode::NOT_FOUND, code, Some(file)) if code != "RepoNotFound" => {
                HubError::FileNotFound { repo, revision, file: file.to_owned() }
            }
            (StatusCode::NOT_FOUND, ..) => HubError::RepoNotFound { repo },
            _ => unexpected(url, format_args!("HTTP {}", status.as_u16())),
        }))
    }

    /// What to do about a refusal. The hub refuses what does not exist, too, so as not to tell what is private.
    fn access_hint(&self, code: &str) -> &'static str {
        match (&self.options.token, code) {
            (None, "GatedRepo") => {
                "it is gated; accept its terms on its page and set HF_TOKEN to a token of that account"
            }
            (None, _) => "it is private, gated or does not exist; check the spelling or set HF_TOKEN",
            (Some(_), "GatedRepo") => "it is gated; accept its terms on its page with the account of your HF_TOKEN",
            (Some(_), _) => "your HF_TOKEN is not valid or may not read it",
        }
    }
}

/// The certificates of a file, or Mozilla's.
fn trusted(file: Option<&Path>) -> Result<RootCerts, HubError> {
    let Some(path) = file else { return Ok(RootCerts::WebPki) };
    let text = fs::read(path).map_err(HubError::io(path))?;
    let certificates: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(HubError::InvalidOption { name: "SSL_CERT_FILE", reason: "names a file without certificates" });
    }
    Ok(RootCerts::from(certificates))
}

/// An attempt that may succeed next time.
pub(super) fn transient(url: &str, message: impl ToString) -> Failure {
    Failure::Transient(HubError::Network { url: without_query(url), message: message.to_string() })
}

/// An answer that is not understood.
pub(super) fn unexpected(url: &str, message: impl ToString) -> HubError {
    HubError::Response { url: without_query(url), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let mut options = HubOptions::new("/cache");
        options.endpoint = "hub.co".to_owned();
        let error = Client::new(&options, "a/b", "main").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("HF_ENDPOINT"), "{error}");
        options = HubOptions::new("/cache");
        options.token = Some("hf_\r\nx: y".to_owned());
        let error = Client::new(&options, "a/b", "main").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("HF_TOKEN") && !error.contains("hf_"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        options = HubOptions::new("/cache");
        options.certificates = Some(file.path().to_owned());
        let error = Client::new(&options, "a/b", "main").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("SSL_CERT_FILE"), "{error}");
    }

    #[test]
    fn messages_hold_no_signatures() {
        let error = unexpected("https://cdn.co/file?Signature=secret", "HTTP 418").to_string();
        assert_eq!(error, "unexpected answer from https://cdn.co/file: HTTP 418");
    }
}
