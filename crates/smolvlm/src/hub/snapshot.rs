//! All files of a checkpoint, from the cache or from the hub.

use super::cache::{RepoCache, make_parent};
use super::client::{Client, Failure, transient, unexpected};
use super::transfer::{FileFacts, Transfer};
use super::{HubError, HubOptions, files, names};
use crate::Progress;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// Longest description of a repository that is read, in bytes.
const MAX_LISTING: u64 = 16 << 20;

/// What the hub says about a revision.
struct Listing {
    commit: String,
    files: Vec<String>,
}

/// See [`HubOptions::download`].
pub(super) fn download(
    options: &HubOptions,
    repo: &str,
    revision: &str,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    names::check_repo(repo)?;
    names::check_revision(revision)?;
    let cache = RepoCache::new(&options.cache, repo);
    let cached = cache.commit(revision).map(|commit| cache.snapshot(&commit));
    let missing = cached.as_deref().map_or_else(|| Some("config.json".to_owned()), files::missing);
    let complete = cached.filter(|_| missing.is_none());
    if options.offline {
        return complete.ok_or_else(|| HubError::Offline {
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            missing: missing.unwrap_or_default(),
            cache: options.cache.clone(),
        });
    }
    let client = Client::new(options, repo, revision)?;
    // Who has the files need not wait long for a network that is not there.
    let attempts = if complete.is_some() { 1 } else { options.attempts };
    let listing = match (client.retry(attempts, |_| list(&client)), complete) {
        (Err(HubError::Network { .. }), Some(complete)) => return Ok(complete),
        (listing, _) => listing?,
    };
    Download { options, client, cache, listing, repo, revision }.run(progress)
}

/// Asks the hub for the commit and the files of the revision.
fn list(client: &Client<'_>) -> Result<Listing, Failure> {
    let url = client.listing_url();
    let body = client.get(&url, None, 0)?.into_body().into_with_config().limit(MAX_LISTING).read_to_vec();
    let body = body.map_err(|error| transient(&url, error))?;
    let json: Value = serde_json::from_slice(&body).map_err(|_| unexpected(&url, "it is no JSON"))?;
    let commit = json.get("sha").and_then(Value::as_str).filter(|sha| names::is_commit(sha));
    let commit = commit.ok_or_else(|| unexpected(&url, "it names no commit"))?.to_owned();
    let files = json.get("siblings").and_then(Value::as_array).ok_or_else(|| unexpected(&url, "it lists no files"))?;
    let files = files.iter().filter_map(|file| Some(file.get("rfilename")?.as_str()?.to_owned())).collect();
    Ok(Listing { commit, files })
}

/// A revision on its way into the cache.
struct Download<'a> {
    options: &'a HubOptions,
    client: Client<'a>,
    cache: RepoCache,
    listing: Listing,
    repo: &'a str,
    revision: &'a str,
}

impl Download<'_> {
    fn run(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, HubError> {
        for name in self.listing.files.iter().filter(|name| files::is_wanted(name)) {
            self.fetch(name, progress)?;
        }
        // Weights come last: a folder with weights has all the rest.
        if self.has(files::WEIGHTS) {
            self.fetch(files::WEIGHTS, progress)?;
        } else if self.has(files::INDEX) {
            self.fetch(files::INDEX, progress)?;
            for shard in files::shards(&self.folder().join(files::INDEX))? {
                self.fetch(&shard, progress)?;
            }
        }
        if let Some(file) = files::missing(&self.folder()) {
            let (repo, revision) = (self.repo.to_owned(), self.revision.to_owned());
            return Err(HubError::FileNotFound { repo, revision, file });
        }
        if !names::is_commit(self.revision) {
            self.cache.set_commit(self.revision, &self.listing.commit)?;
        }
        Ok(self.folder())
    }

    fn folder(&self) -> PathBuf {
        self.cache.snapshot(&self.listing.commit)
    }

    fn has(&self, name: &str) -> bool {
        self.listing.files.iter().any(|file| file == name)
    }

    /// Sees to it that a file is in the folder.
    fn fetch(&self, name: &str, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
        let commit = &self.listing.commit;
        if self.folder().join(name).is_file() {
            return Ok(());
        }
        let url = self.client.file_url(commit, name);
        let facts = self.client.retry(self.options.attempts, |_| FileFacts::ask(&self.client, &url, name))?;
        let arrived = || fs::metadata(self.cache.blob(&facts.etag)).is_ok_and(|blob| blob.len() == facts.size);
        if !arrived() {
            let part = self.cache.part(&facts.etag);
            make_parent(&part)?;
            let _lock = self.cache.lock(&facts.etag, self.options.timeout)?;
            // Whoever held the lock may have fetched it.
            if !arrived() {
                let transfer = Transfer { client: &self.client, url: &url, name, facts: &facts, part: &part };
                transfer.run(self.options.attempts, progress)?;
                self.cache.publish(&facts.etag)?;
            }
        }
        self.cache.link(commit, name, &facts.etag)
    }
}
