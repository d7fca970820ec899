//! What can go wrong with the hub.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// What can go wrong between a repository of the hub and a folder here. Messages are one line and say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A text that cannot name a repository.
    #[error("'{repo}' is no repository of the hub, which are named owner/name: {reason}")]
    InvalidRepoId {
        /// What was given.
        repo: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text that cannot name a revision.
    #[error("'{revision}' is no branch, tag or commit: {reason}")]
    InvalidRevision {
        /// What was given.
        revision: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting that cannot be used.
    #[error("{name} {reason}")]
    InvalidOption {
        /// The setting, by its environment variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No encrypted connection can be made, because there is nothing to check certificates against.
    #[error(
        "cannot make encrypted connections: {reason}; install the system's certificates (ca-certificates) or set SSL_CERT_FILE"
    )]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// The hub has no such repository.
    #[error("the hub has no repository {repo}; check the spelling")]
    RepoNotFound {
        /// The repository.
        repo: String,
    },
    /// The repository has no such revision.
    #[error("{repo} has no revision '{revision}'; give one of its branches, tags or full commit ids")]
    RevisionNotFound {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// The repository lacks a file that every checkpoint has.
    #[error("{repo} has no {file} at revision '{revision}', so it is no checkpoint this library can load")]
    FileNotFound {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
        /// The file.
        file: String,
    },
    /// The hub does not let this user read the repository.
    #[error("the hub refuses access to {repo} (HTTP {status}): {hint}")]
    Unauthorized {
        /// The repository.
        repo: String,
        /// 401 or 403.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// The network may not be used, and the cache lacks a file.
    #[error(
        "{repo} at revision '{revision}': {missing} is not in {} and the hub is switched off; unset HF_HUB_OFFLINE and \
         TRANSFORMERS_OFFLINE to fetch it",
        cache.display()
    )]
    Offline {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
        /// The first file that is missing.
        missing: String,
        /// The folder of the cache.
        cache: PathBuf,
    },
    /// The hub cannot be reached, answers too late or breaks off, on every attempt.
    #[error("cannot fetch {url}: {message}; check the network and try again, what has arrived is kept")]
    Network {
        /// What was asked for.
        url: String,
        /// What happened on the last attempt.
        message: String,
    },
    /// The hub answers something that is not understood.
    #[error("unexpected answer from {url}: {message}")]
    Response {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        message: String,
    },
    /// The bytes of a file are not those that the hub announced.
    #[error(
        "{file} arrived broken: its {size} bytes are not those of the hub's git object {oid}; a proxy may have replaced \
         them, try again or use another network"
    )]
    Corrupt {
        /// The file.
        file: String,
        /// Bytes of the file, as announced.
        size: u64,
        /// Id of the git object that was announced.
        oid: String,
    },
    /// Another process holds a file of the cache without making progress.
    #[error("another process holds {}; end it or wait for it", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The cache lacks a file and cannot be written.
    #[error("cannot write to the hub's cache: {}: {source}; set HF_HOME or HF_HUB_CACHE to a folder that can be written", path.display())]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The caller cancelled the download. What has arrived is kept.
    #[error("cancelled")]
    Cancelled,
    /// The runtime of the download cannot be started.
    #[error("cannot start a download: {source}")]
    Runtime {
        /// What the operating system says.
        source: io::Error,
    },
    /// A file or folder of the cache cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl HubError {
    /// An error of the file system at a path, for `map_err`.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly { path, source },
            _ => Self::Io { path, source },
        }
    }

    /// Whether a complete cache serves as well: nothing the user must set right stands in the way.
    pub(super) fn leaves_the_cache(&self) -> bool {
        !matches!(self, Self::Cancelled | Self::InvalidOption { .. })
    }
}
