//! Requests to the hub about one revision of one repository, through hf-hub.

use super::failure::{Failure, Subject, root};
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

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 10;
/// Most files and folders of a repository that are listed.
const MAX_ENTRIES: usize = 100_000;
/// Longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// How many times the longest silence an answer may take that is not a file's contents, and a piece of a file to arrive.
const PATIENCE: u32 = 12;

/// What the hub says about a revision.
pub(super) struct Revision {
    pub commit: String,
    pub files: Vec<String>,
}

/// The hub, as seen from one download.
pub(super) struct Client<'a> {
    options: &'a HubOptions,
    endpoint: Url,
    repository: HFRepository<RepoTypeModel>,
    repo: &'a str,
    revision: &'a str,
}

impl<'a> Client<'a> {
    /// A client for a repository and a revision that have been checked.
    pub(super) fn new(options: &'a HubOptions, repo: &'a str, revision: &'a str) -> Result<Self, HubError> {
        let invalid = |name, reason: &str| HubError::InvalidOption { name, reason: reason.to_owned() };
        let endpoint = Url::parse(options.endpoint.trim_end_matches('/')).ok();
        let endpoint = endpoint.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let endpoint = endpoint
            .ok_or_else(|| invalid("HF_ENDPOINT", "must be an address that begins with https:// or http://"))?;
        if options.token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(invalid("HF_TOKEN", "holds a character no token has"));
        }
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("smolvlm/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.timeout)
            .read_timeout(options.timeout)
            .redirect(Policy::custom(redirect));
        if let Some(file) = &options.certificates {
            http = http.tls_certs_only(certificates(file)?);
        }
        let tls = |error: &(dyn Error + 'static)| HubError::Tls { reason: root(error) };
        let client = HFClient::builder()
            .client(http.build().map_err(|error| tls(&error))?)
            .endpoint(options.endpoint.trim_end_matches('/'))
            .cache_dir(&options.cache)
            // Without a token hf-hub looks for one itself; it sends none that cannot stand in a header.
            .token(options.token.as_deref().unwrap_or("\n"))
            // Attempts are counted here, by what they bring.
            .retry_max_attempts(0)
            .build()
            .map_err(|error| tls(&error))?;
        let (owner, name) = split_id(repo);
        Ok(Self { options, endpoint, repository: client.model(owner, name), repo, revision })
    }

    /// What a request is about.
    pub(super) fn subject<'b>(&'b self, file: Option<&'b str>) -> Subject<'b> {
        let token = self.options.token.is_some();
        Subject { endpoint: &self.endpoint, repo: self.repo, revision: self.revision, file, token }
    }

    /// Makes attempts until one succeeds, fails for good, or `most` have failed in a row. An attempt that got something
    /// done sets the number of failed ones, its argument, back to 0.
    pub(super) async fn retry<T>(
        &self,
        most: u32,
        mut attempt: impl AsyncFnMut(&mut u32) -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        let mut failed = 0;
        loop {
            match attempt(&mut failed).await {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Transient(error)) => {
                    failed += 1;
                    if failed >= most {
                        return Err(error);
                    }
                    let doubled = self.options.pause.saturating_mul(1 << (failed - 1).min(16));
                    sleep(doubled.min(MAX_PAUSE)).await;
                }
            }
        }
    }

    /// Asks for the commit and the files of the revision.
    pub(super) async fn revision(&self) -> Result<Revision, Failure> {
        let subject = self.subject(None);
        let info = self.in_time(self.repository.info().revision(self.revision).send()).await?;
        let info = info.map_err(|error| subject.failure(error))?;
        let commit = info.sha.filter(|sha| names::is_commit(sha));
        let commit = commit.ok_or_else(|| subject.unexpected(&"it names no commit"))?;
        let files = info.siblings.ok_or_else(|| subject.unexpected(&"it lists no files"))?;
        Ok(Revision { commit, files: files.into_iter().map(|file| file.rfilename).collect() })
    }

    /// Asks what the wanted files of a commit hold.
    pub(super) async fn objects(
        &self,
        commit: &str,
        wanted: fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Object>, Failure> {
        let subject = self.subject(None);
        let entries = self.repository.list_tree().revision(commit).recursive(true).limit(MAX_ENTRIES).send();
        let mut entries = pin!(entries.map_err(|error| subject.failure(error))?);
        let mut objects = BTreeMap::new();
        while let Some(entry) = self.in_time(entries.next()).await? {
            let RepoTreeEntry::File { path, oid, size, lfs, .. } = entry.map_err(|error| subject.failure(error))?
            else {
                continue;
            };
            if wanted(&path) {
                let object = Object::new(&oid, size, lfs.is_some());
                let object = object.ok_or_else(|| subject.unexpected(&format_args!("{path} has no git object id")))?;
                objects.insert(path, object);
            }
        }
        Ok(objects)
    }

    /// Asks for the contents of a file from a byte on; the answer says how many bytes it has, if the host does.
    pub(super) async fn contents(
        &self,
        commit: &str,
        file: &str,
        from: u64,
        size: u64,
    ) -> Result<(Option<u64>, HFByteStream), Failure> {
        let range = (from > 0).then_some(from..size);
        let stream = self.repository.download_file_stream().filename(file).revision(commit).maybe_range(range).send();
        self.in_time(stream).await?.map_err(|error| self.subject(Some(file)).failure(error))
    }

    /// Waits for an answer, even one that comes byte by byte, for a bounded time. Silence ends it much earlier.
    pub(super) async fn in_time<F: Future>(&self, answer: F) -> Result<F::Output, Failure> {
        let limit = self.options.timeout.saturating_mul(PATIENCE);
        timeout(limit, answer).await.map_err(|_| self.subject(None).transient("no answer in time"))
    }
}

/// Follows redirects within limits. reqwest itself sends the token to no other host.
fn redirect(attempt: Attempt<'_>) -> Action {
    match refused(attempt.previous(), attempt.url()) {
        Some(reason) => attempt.error(reason),
        None => attempt.follow(),
    }
}

/// Why a redirect is not followed, if it is not: chains end, and never lead from https to http.
fn refused(previous: &[Url], next: &Url) -> Option<&'static str> {
    if previous.len() > MAX_REDIRECTS {
        return Some("too many redirects");
    }
    let encrypted = |url: &Url| url.scheme() == "https";
    (!encrypted(next) && previous.iter().any(encrypted)).then_some("it redirects to an address that is not encrypted")
}

/// The certificates of a file.
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

    fn problem(options: &HubOptions) -> String {
        Client::new(options, "a/b", "main").err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn settings_are_checked() {
        let mut options = HubOptions::new("/cache");
        options.endpoint = "hub.co".to_owned();
        assert!(problem(&options).contains("HF_ENDPOINT"));
        options = HubOptions::new("/cache");
        options.token = Some("hf_\r\nx: y".to_owned());
        let error = problem(&options);
        assert!(error.contains("HF_TOKEN") && !error.contains("hf_"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        options = HubOptions::new("/cache");
        options.certificates = Some(file.path().to_owned());
        assert!(problem(&options).contains("SSL_CERT_FILE"));
    }

    #[test]
    fn redirects_stay_encrypted_and_end() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (http, https) = (url("http://hub.co/a"), url("https://hub.co/a"));
        for (previous, next, followed) in
            [(&http, &http, true), (&http, &https, true), (&https, &https, true), (&https, &http, false)]
        {
            assert_eq!(refused(std::slice::from_ref(previous), next).is_none(), followed, "{previous} {next}");
        }
        assert!(refused(&vec![http.clone(); MAX_REDIRECTS], &http).is_none());
        assert!(refused(&vec![http.clone(); MAX_REDIRECTS + 1], &http).is_some());
    }
}
