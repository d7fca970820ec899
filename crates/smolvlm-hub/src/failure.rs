//! Classification of failed requests: the error to report, and whether a retry may succeed.

use super::HubError;
use hf_hub::HFError;
use reqwest::{StatusCode, Url};
use std::error::Error;

/// A failed attempt.
pub(super) enum Failure {
    /// A retry may succeed.
    Transient(HubError),
    /// A retry would fail again.
    Permanent(HubError),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Permanent(error)
    }
}

/// The target of a request, for its error messages.
#[derive(Clone, Copy)]
pub(super) struct RequestContext<'a> {
    pub endpoint: &'a Url,
    pub repo: &'a str,
    pub revision: &'a str,
    /// The requested file, if the request was for one.
    pub file: Option<&'a str>,
    /// Whether a token was sent.
    pub token: bool,
}

impl RequestContext<'_> {
    /// Classifies an error of hf-hub.
    pub(super) fn failure(self, error: HFError) -> Failure {
        match error {
            HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context }
            | HFError::RateLimited { context, .. }
            | HFError::Http { context }
            | HFError::RepoNotFound { context: Some(context), .. }
            | HFError::RevisionNotFound { context: Some(context), .. }
            | HFError::EntryNotFound { context: Some(context), .. } => {
                self.http_error(context.status, &context.url, context.error_code.as_deref().unwrap_or_default())
            }
            HFError::Request { source, .. } => self.request(&source),
            HFError::Json(error) => self.unexpected(&error).into(),
            HFError::MalformedResponse { what, .. } => self.unexpected(&what).into(),
            // The URLs of the storage backend are signed and do not help the user.
            HFError::Xet { source, .. } => self.transient(root_cause(source.as_ref())),
            other => self.transient(root_cause(&other)),
        }
    }

    /// A failure that a retry may fix.
    pub(super) fn transient(self, message: impl ToString) -> Failure {
        Failure::Transient(HubError::Network { url: self.address(), message: message.to_string() })
    }

    /// An error for a response that cannot be interpreted.
    pub(super) fn unexpected(self, message: &dyn ToString) -> HubError {
        HubError::Response { url: self.address(), message: message.to_string() }
    }

    /// Classifies a response with an HTTP error status.
    fn http_error(self, status: StatusCode, url: &str, code: &str) -> Failure {
        let (repo, revision) = (self.repo.to_owned(), self.revision.to_owned());
        let url = Url::parse(url).ok();
        let other_host = url.is_some_and(|url| url.origin() != self.endpoint.origin());
        let retryable = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS, StatusCode::RANGE_NOT_SATISFIABLE];
        // Storage hosts need a signed URL, which expires: a new request to the hub yields a new one.
        if status.is_server_error() || retryable.contains(&status) || other_host {
            return self.transient(format_args!("HTTP {}", status.as_u16()));
        }
        Failure::Permanent(match (status, code, self.file) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, ..) => {
                HubError::Unauthorized { repo, status: status.as_u16(), hint: self.access_hint(code) }
            }
            (StatusCode::NOT_FOUND, "RevisionNotFound", _) => HubError::RevisionNotFound { repo, revision },
            (StatusCode::NOT_FOUND, code, Some(file)) if code != "RepoNotFound" => {
                HubError::FileNotFound { repo, revision, file: file.to_owned() }
            }
            (StatusCode::NOT_FOUND, ..) => HubError::RepoNotFound { repo },
            (StatusCode::PROXY_AUTHENTICATION_REQUIRED, ..) => self.unexpected(
                &"HTTP 407; the proxy asks for a user and a password, as in HTTPS_PROXY=http://user:password@host:port",
            ),
            _ => self.unexpected(&format_args!("HTTP {}", status.as_u16())),
        })
    }

    /// Classifies a request that failed without a usable response.
    fn request(self, error: &reqwest::Error) -> Failure {
        let message = root_cause(error);
        if error.is_redirect() {
            return self.unexpected(&message).into();
        }
        let mut source = error.source();
        while let Some(cause) = source {
            if cause.is::<serde_json::Error>() {
                return self.unexpected(&format_args!("not a description of a repository ({cause})")).into();
            }
            source = cause.source();
        }
        self.transient(message)
    }

    /// Advice for a denied request. To hide private repositories, the hub also denies access to those
    /// that do not exist.
    fn access_hint(self, code: &str) -> &'static str {
        match (self.token, code) {
            (false, "GatedRepo") => {
                "it is gated; accept its terms on its page and set HF_TOKEN to a token of that account"
            }
            (false, _) => "it is private, gated or does not exist; check the spelling or set HF_TOKEN",
            (true, "GatedRepo") => "it is gated; accept its terms on its page with the account of your HF_TOKEN",
            (true, _) => "your HF_TOKEN is not valid or may not read it",
        }
    }

    /// The request's URL for messages, without user, password or signature.
    fn address(self) -> String {
        let mut url = self.endpoint.clone();
        // These fail only for URLs without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let base = url.as_str().trim_end_matches('/');
        match self.file {
            Some(file) => format!("{base}/{}/{file}", self.repo),
            None => format!("{base}/{}", self.repo),
        }
    }
}

/// The message of an error's innermost cause, without the URL.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        // Its message ends with the URL, which may be signed.
        Some(error) if error.is_timeout() => "timed out".to_owned(),
        Some(error) if error.is_redirect() => "a redirect that cannot be followed".to_owned(),
        Some(error) if error.is_body() || error.is_decode() => "the connection was interrupted".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(status: u16, url: &str, file: Option<&str>) -> (bool, String) {
        let endpoint = Url::parse("https://me:secret@hub.co/mirror/").unwrap();
        let context = RequestContext { endpoint: &endpoint, repo: "a/b", revision: "main", file, token: true };
        match context.http_error(StatusCode::from_u16(status).unwrap(), url, "") {
            Failure::Transient(error) => (true, error.to_string()),
            Failure::Permanent(error) => (false, error.to_string()),
        }
    }

    #[test]
    fn messages_contain_no_passwords_or_signatures() {
        let (again, error) = message(418, "https://hub.co/file?Signature=secret", Some("config.json"));
        assert_eq!(error, "unexpected response from https://hub.co/mirror/a/b/config.json: HTTP 418");
        assert!(!again);
        let (again, error) = message(403, "https://cdn.co/file?Signature=secret", None);
        assert!(again && !error.contains("secret") && error.contains("HTTP 403"), "{error}");
    }

    #[test]
    fn proxy_authentication_errors_name_the_variable() {
        let (again, error) = message(407, "https://hub.co/api", None);
        assert!(!again && error.contains("HTTPS_PROXY"), "{error}");
    }
}
