//! Requests to the hub about one revision of one repository, through hf-hub.

use super::failure::{Failure, RequestContext, root_cause};
use super::names;
use super::object::Object;
use super::{HubError, HubOptions};
use futures::StreamExt;
use hf_hub::repository::RepoTreeEntry;
use hf_hub::repository::download::HFByteStream;
use hf_hub::{HFClient, HFRepository, RepoTypeModel, split_id};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Certificate, Url};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Maximum number of redirects per request.
const MAX_REDIRECTS: usize = 10;
/// Maximum number of files and folders in a listing.
const MAX_ENTRIES: usize = 100_000;
/// Maximum pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Maximum duration of a response other than a file, and of one chunk of a file, as a multiple of
/// [`HubOptions::timeout`].
const RESPONSE_TIMEOUTS: u32 = 12;

/// Commit and file names of a revision.
pub(super) struct Revision {
    pub commit: String,
    pub files: Vec<String>,
}

/// The client of one download.
pub(super) struct Client<'a> {
    options: &'a HubOptions,
    endpoint: Url,
    repository: HFRepository<RepoTypeModel>,
    repo: &'a str,
    revision: &'a str,
}

impl<'a> Client<'a> {
    /// Creates a client for a repository id and a revision that have been checked.
    pub(super) fn new(options: &'a HubOptions, repo: &'a str, revision: &'a str) -> Result<Self, HubError> {
        let invalid = |name, reason: &str| HubError::InvalidOption { name, reason: reason.to_owned() };
        let endpoint = Url::parse(options.endpoint.trim_end_matches('/')).ok();
        let endpoint = endpoint.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let endpoint =
            endpoint.ok_or_else(|| invalid("HF_ENDPOINT", "must be a URL that begins with https:// or http://"))?;
        if options.token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(invalid("HF_TOKEN", "contains a character that is not allowed in tokens"));
        }
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("smolvlm/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.timeout)
            .read_timeout(options.timeout)
            .redirect(Policy::custom(redirect));
        if let Some(file) = &options.certificates {
            http = http.tls_certs_only(certificates(file)?);
        }
        let tls = |error: &(dyn Error + 'static)| HubError::Tls { reason: root_cause(error) };
        let client = HFClient::builder()
            .client(http.build().map_err(|error| tls(&error))?)
            .endpoint(options.endpoint.trim_end_matches('/'))
            .cache_dir(&options.cache)
            // Without a token, hf-hub looks for one. It does not send this one, which is not a valid header value.
            .token(options.token.as_deref().unwrap_or("\n"))
            // `retry` counts attempts, by their progress.
            .retry_max_attempts(0)
            .build()
            .map_err(|error| tls(&error))?;
        let (owner, name) = split_id(repo);
        Ok(Self { options, endpoint, repository: client.model(owner, name), repo, revision })
    }

    /// The context of a request, for its error messages.
    pub(super) fn context<'b>(&'b self, file: Option<&'b str>) -> RequestContext<'b> {
        let token = self.options.token.is_some();
        RequestContext { endpoint: &self.endpoint, repo: self.repo, revision: self.revision, file, token }
    }

    /// Retries until an attempt succeeds, fails permanently, or `attempts` in a row have failed. An attempt that made
    /// progress resets its argument, the number of failed attempts, to 0.
    pub(super) async fn retry<T>(
        &self,
        attempts: u32,
        mut attempt: impl AsyncFnMut(&mut u32) -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        let mut failed = 0;
        loop {
            match attempt(&mut failed).await {
                Ok(value) => return Ok(value),
                Err(Failure::Permanent(error)) => return Err(error),
                Err(Failure::Transient(error)) => {
                    failed += 1;
                    if failed >= attempts {
                        return Err(error);
                    }
                    let doubled = self.options.pause.saturating_mul(1 << (failed - 1).min(16));
                    sleep(doubled.min(MAX_PAUSE)).await;
                }
            }
        }
    }

    /// Requests the commit and the file names of the revision.
    pub(super) async fn revision(&self) -> Result<Revision, Failure> {
        let context = self.context(None);
        let info = self.with_timeout(self.repository.info().revision(self.revision).send()).await?;
        let info = info.map_err(|error| context.failure(error))?;
        let commit = info.sha.filter(|sha| names::is_commit(sha));
        let commit = commit.ok_or_else(|| context.unexpected(&"it names no commit"))?;
        let files = info.siblings.ok_or_else(|| context.unexpected(&"it lists no files"))?;
        Ok(Revision { commit, files: files.into_iter().map(|file| file.rfilename).collect() })
    }

    /// Requests the identity of the wanted files of a commit.
    pub(super) async fn objects(
        &self,
        commit: &str,
        wanted: fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Object>, Failure> {
        let context = self.context(None);
        let entries = self.repository.list_tree().revision(commit).recursive(true).limit(MAX_ENTRIES).send();
        let mut entries = pin!(entries.map_err(|error| context.failure(error))?);
        let mut objects = BTreeMap::new();
        while let Some(entry) = self.with_timeout(entries.next()).await? {
            let RepoTreeEntry::File { path, oid, size, lfs, .. } = entry.map_err(|error| context.failure(error))?
            else {
                continue;
            };
            if wanted(&path) {
                let object = Object::new(&oid, size, lfs.is_some());
                let object = object.ok_or_else(|| context.unexpected(&format_args!("{path} has no git object id")))?;
                objects.insert(path, object);
            }
        }
        Ok(objects)
    }

    /// Requests the contents of a file from byte `from` on. Returns the length of the response, if the host sends it,
    /// and its body.
    pub(super) async fn contents(
        &self,
        commit: &str,
        file: &str,
        from: u64,
        size: u64,
    ) -> Result<(Option<u64>, HFByteStream), Failure> {
        let range = (from > 0).then_some(from..size);
        let stream = self.repository.download_file_stream().filename(file).revision(commit).maybe_range(range).send();
        self.with_timeout(stream).await?.map_err(|error| self.context(Some(file)).failure(error))
    }

    /// Limits the time for a complete response, even if it trickles in. The read timeout ends a silent one much
    /// earlier.
    pub(super) async fn with_timeout<F: Future>(&self, response: F) -> Result<F::Output, Failure> {
        let limit = self.options.timeout.saturating_mul(RESPONSE_TIMEOUTS);
        timeout(limit, response).await.map_err(|_| self.context(None).transient("timed out"))
    }
}

/// Follows redirects within limits. reqwest removes the token when the host changes.
fn redirect(attempt: Attempt<'_>) -> Action {
    match redirect_error(attempt.previous(), attempt.url()) {
        Some(reason) => attempt.error(reason),
        None => attempt.follow(),
    }
}

/// Returns why a redirect must not be followed: the chain is too long or leads from https to http.
fn redirect_error(previous: &[Url], next: &Url) -> Option<&'static str> {
    if previous.len() > MAX_REDIRECTS {
        return Some("too many redirects");
    }
    let encrypted = |url: &Url| url.scheme() == "https";
    (!encrypted(next) && previous.iter().any(encrypted)).then_some("redirected to an unencrypted URL")
}

/// Reads the certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<Certificate>, HubError> {
    let text = fs::read(path).map_err(HubError::io(path))?;
    let certificates = Certificate::from_pem_bundle(&text).unwrap_or_default();
    if certificates.is_empty() {
        let reason = "names a file without certificates".to_owned();
        return Err(HubError::InvalidOption { name: "SSL_CERT_FILE", reason });
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(options: &HubOptions) -> String {
        Client::new(options, "a/b", "main").err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn invalid_options_are_errors() {
        let mut options = HubOptions::new("/cache");
        options.endpoint = "hub.co".to_owned();
        assert!(message(&options).contains("HF_ENDPOINT"));
        options = HubOptions::new("/cache");
        options.token = Some("hf_\r\nx: y".to_owned());
        let error = message(&options);
        assert!(error.contains("HF_TOKEN") && !error.contains("hf_"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        options = HubOptions::new("/cache");
        options.certificates = Some(file.path().to_owned());
        assert!(message(&options).contains("SSL_CERT_FILE"));
    }

    #[test]
    fn redirects_stay_encrypted_and_are_limited() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (http, https) = (url("http://hub.co/a"), url("https://hub.co/a"));
        for (previous, next, followed) in
            [(&http, &http, true), (&http, &https, true), (&https, &https, true), (&https, &http, false)]
        {
            assert_eq!(redirect_error(std::slice::from_ref(previous), next).is_none(), followed, "{previous} {next}");
        }
        assert!(redirect_error(&vec![http.clone(); MAX_REDIRECTS], &http).is_none());
        assert!(redirect_error(&vec![http.clone(); MAX_REDIRECTS + 1], &http).is_some());
    }
}
