//! Download of a checkpoint's files, or their lookup in the cache.

use super::cache::RepoCache;
use super::client::Client;
use super::object::Object;
use super::selection::Selection;
use super::transfer::Transfer;
use super::worker::{self, Reporter};
use super::{Event, HubError, HubOptions, files, names};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Digits of an abbreviated commit id in messages.
const SHORT_COMMIT: usize = 12;

/// See [`HubOptions::download`].
pub(super) fn download(
    options: &HubOptions,
    repo: &str,
    revision: &str,
    selection: Selection<'_>,
    events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<PathBuf, HubError> {
    names::check_repo(repo)?;
    names::check_revision(revision)?;
    let cache = RepoCache::new(&options.cache, repo, options.symlinks);
    let cached = cache.commit(revision);
    let folder = cached.as_ref().map(|commit| cache.snapshot(commit));
    let missing =
        folder.as_deref().map_or_else(|| selection.missing(Path::new("")), |folder| selection.missing(folder));
    let complete = folder.filter(|_| missing.is_none());
    if options.offline {
        return complete.ok_or_else(|| HubError::Offline {
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            missing: missing.unwrap_or_default(),
            cache: options.cache.clone(),
        });
    }
    worker::run(events, async |reporter: &Reporter| {
        let result = match Client::new(options, repo, revision) {
            Ok(client) => {
                let download = Download { options, client, cache: &cache, reporter, repo, revision, selection };
                download.run(complete.is_some()).await
            }
            Err(error) => Err(error),
        };
        match (result, complete) {
            (Err(error), Some(complete)) if error.allows_cached() => {
                let commit = cached.unwrap_or_default().chars().take(SHORT_COMMIT).collect::<String>();
                reporter.note(format!("{error}; using the cached copy of {repo}, commit {commit}"));
                Ok(complete)
            }
            (result, _) => result,
        }
    })
}

/// The download of one revision into the cache.
struct Download<'a> {
    options: &'a HubOptions,
    client: Client<'a>,
    cache: &'a RepoCache,
    reporter: &'a Reporter,
    repo: &'a str,
    revision: &'a str,
    selection: Selection<'a>,
}

impl Download<'_> {
    /// Fetches the files of the revision that are not in the cache. If the cache is complete, the first request is not
    /// retried, so that users with the files do not wait for a missing network.
    async fn run(&self, complete: bool) -> Result<PathBuf, HubError> {
        let attempts = if complete { 1 } else { self.options.attempts };
        let revision = self.client.retry(attempts, async |_| self.client.revision().await).await?;
        let folder = self.cache.snapshot(&revision.commit);
        let all = self.selection.wanted(&revision.files).map_err(|found| HubError::NoGguf {
            repo: self.repo.to_owned(),
            revision: self.revision.to_owned(),
            quantization: self.selection.quantization().map(str::to_owned),
            found,
        })?;
        if all.iter().any(|name| !folder.join(name).is_file()) || self.selection.missing(&folder).is_some() {
            self.fetch_all(&revision.commit, &folder, &all).await?;
        }
        if !names::is_commit(self.revision) {
            match self.cache.set_commit(self.revision, &revision.commit) {
                // The commit can be looked up again; its files are in the cache.
                Ok(()) | Err(HubError::ReadOnly { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(folder)
    }

    /// Fetches files, and the shards of an index. Weights come last: a folder with weights has all other files.
    async fn fetch_all(&self, commit: &str, folder: &Path, names: &[String]) -> Result<(), HubError> {
        let objects = async |_: &mut u32| self.client.objects(commit, self.selection.is_fetched()).await;
        let objects = self.client.retry(self.options.attempts, objects).await?;
        for name in names {
            self.fetch(commit, name, &objects).await?;
        }
        if names.iter().any(|name| name == files::INDEX) {
            for shard in files::shards(&folder.join(files::INDEX))? {
                self.fetch(commit, &shard, &objects).await?;
            }
        }
        match self.selection.missing(folder) {
            Some(file) => Err(self.missing_file(&file)),
            None => Ok(()),
        }
    }

    /// Adds a file to the commit's folder, unless it is there.
    async fn fetch(&self, commit: &str, name: &str, objects: &BTreeMap<String, Object>) -> Result<(), HubError> {
        let object = objects.get(name).ok_or_else(|| self.missing_file(name))?;
        let is_present = || self.cache.snapshot(commit).join(name).is_file();
        if is_present() {
            return Ok(());
        }
        if let Some(etag) = self.cache.etag(object) {
            return self.cache.reuse(commit, name, &etag);
        }
        let _lock = self.cache.lock(object, self.options.timeout).await?;
        // The process that held the lock may have fetched the file.
        if is_present() {
            return Ok(());
        }
        if let Some(etag) = self.cache.etag(object) {
            return self.cache.reuse(commit, name, &etag);
        }
        let part = &self.cache.part(object);
        let (client, reporter) = (&self.client, self.reporter);
        let etag = Transfer { client, reporter, commit, name, object, part }.run(self.options.attempts).await?;
        self.cache.publish(commit, name, part, &etag)
    }

    /// The error for a repository without a file that every checkpoint has.
    fn missing_file(&self, file: &str) -> HubError {
        HubError::FileNotFound { repo: self.repo.to_owned(), revision: self.revision.to_owned(), file: file.to_owned() }
    }
}
