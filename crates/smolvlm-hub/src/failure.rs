//! What failed requests mean for the user, and whether trying again may help.

use super::HubError;
use hf_hub::HFError;
use reqwest::{StatusCode, Url};
use std::error::Error;

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

/// What a request was about.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub endpoint: &'a Url,
    pub repo: &'a str,
    pub revision: &'a str,
    /// The file that was asked for, if it was one.
    pub file: Option<&'a str>,
    /// Whether a token was sent.
    pub token: bool,
}

impl Subject<'_> {
    /// Sorts what hf-hub reports.
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
                self.refusal(context.status, &context.url, context.error_code.as_deref().unwrap_or_default())
            }
            HFError::Request { source, .. } => self.request(&source),
            HFError::Json(error) => self.unexpected(&error).into(),
            HFError::MalformedResponse { what, .. } => self.unexpected(&what).into(),
            // Storage behind the hub: its addresses and their signatures are of no use to anybody.
            HFError::Xet { source, .. } => self.transient(root(source.as_ref())),
            other => self.transient(root(&other)),
        }
    }

    /// An attempt that may succeed next time.
    pub(super) fn transient(self, message: impl ToString) -> Failure {
        Failure::Transient(HubError::Network { url: self.address(), message: message.to_string() })
    }

    /// An answer that is not understood.
    pub(super) fn unexpected(self, message: &dyn ToString) -> HubError {
        HubError::Response { url: self.address(), message: message.to_string() }
    }

    /// An answer with a status that is no success.
    fn refusal(self, status: StatusCode, url: &str, code: &str) -> Failure {
        let (repo, revision) = (self.repo.to_owned(), self.revision.to_owned());
        let url = Url::parse(url).ok();
        let elsewhere = url.is_some_and(|url| url.origin() != self.endpoint.origin());
        let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS, StatusCode::RANGE_NOT_SATISFIABLE];
        // Another host serves what the hub has signed for a short time: asking the hub again gives a new address.
        if status.is_server_error() || busy.contains(&status) || elsewhere {
            return self.transient(format_args!("HTTP {}", status.as_u16()));
        }
        Failure::Final(match (status, code, self.file) {
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

    /// A request without a usable answer.
    fn request(self, error: &reqwest::Error) -> Failure {
        let message = root(error);
        if error.is_redirect() {
            return self.unexpected(&message).into();
        }
        let mut source = error.source();
        while let Some(cause) = source {
            if cause.is::<serde_json::Error>() {
                return self.unexpected(&format_args!("it is no description of a repository ({cause})")).into();
            }
            source = cause.source();
        }
        self.transient(message)
    }

    /// What to do about a refusal. The hub refuses what does not exist, too, so as not to tell what is private.
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

    /// What was asked for, as messages show it: without a user, a password or signatures.
    fn address(self) -> String {
        let mut url = self.endpoint.clone();
        // These fail only for addresses without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let base = url.as_str().trim_end_matches('/');
        match self.file {
            Some(file) => format!("{base}/{}/{file}", self.repo),
            None => format!("{base}/{}", self.repo),
        }
    }
}

/// The innermost cause of an error, which says what happened without saying where.
pub(super) fn root(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        // Its text ends with the address, which may be signed.
        Some(error) if error.is_timeout() => "no answer in time".to_owned(),
        Some(error) if error.is_redirect() => "a redirect that cannot be followed".to_owned(),
        Some(error) if error.is_body() || error.is_decode() => "the connection broke".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(status: u16, url: &str, file: Option<&str>) -> (bool, String) {
        let endpoint = Url::parse("https://me:secret@hub.co/mirror/").unwrap();
        let subject = Subject { endpoint: &endpoint, repo: "a/b", revision: "main", file, token: true };
        match subject.refusal(StatusCode::from_u16(status).unwrap(), url, "") {
            Failure::Transient(error) => (true, error.to_string()),
            Failure::Final(error) => (false, error.to_string()),
        }
    }

    #[test]
    fn messages_hold_no_passwords_and_no_signatures() {
        let (again, error) = message(418, "https://hub.co/file?Signature=secret", Some("config.json"));
        assert_eq!(error, "unexpected answer from https://hub.co/mirror/a/b/config.json: HTTP 418");
        assert!(!again);
        let (again, error) = message(403, "https://cdn.co/file?Signature=secret", None);
        assert!(again && !error.contains("secret") && error.contains("HTTP 403"), "{error}");
    }

    #[test]
    fn a_proxy_that_wants_a_password_is_named() {
        let (again, error) = message(407, "https://hub.co/api", None);
        assert!(!again && error.contains("HTTPS_PROXY"), "{error}");
    }
}
