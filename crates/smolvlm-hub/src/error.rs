//! The error type of the crate.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use super::names::shorten;

/// An error of a download from the hub. Messages are one line and say how to fix it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// An invalid repository id.
    #[error("'{repo}' is not a valid repository id (owner/name): {reason}")]
    InvalidRepoId {
        /// The given text.
        repo: String,
        /// Why it is invalid.
        reason: &'static str,
    },
    /// An invalid name of a revision.
    #[error("'{revision}' is not a valid branch, tag or commit: {reason}")]
    InvalidRevision {
        /// The given text.
        revision: String,
        /// Why it is invalid.
        reason: &'static str,
    },
    /// An invalid option.
    #[error("{name} {reason}")]
    InvalidOption {
        /// The option's environment variable.
        name: &'static str,
        /// Why it is invalid.
        reason: String,
    },
    /// TLS cannot be set up, for example because there are no trusted root certificates.
    #[error("cannot set up TLS: {reason}; install the system's certificates (ca-certificates) or set SSL_CERT_FILE")]
    Tls {
        /// The cause.
        reason: String,
    },
    /// The repository does not exist on the hub.
    #[error("the hub has no repository {repo}; check the spelling")]
    RepoNotFound {
        /// The repository.
        repo: String,
    },
    /// The repository does not have the revision.
    #[error("{repo} has no revision '{revision}'; give one of its branches, tags or full commit ids")]
    RevisionNotFound {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// The repository does not have a file that every checkpoint has.
    #[error("{repo} has no {file} at revision '{revision}', so it is not a checkpoint that this library can load")]
    FileNotFound {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
        /// The file.
        file: String,
    },
    /// The repository does not have the requested GGUF file, or has several and none of a usual quantization.
    #[error(
        "{repo} has no GGUF text model of {} at revision '{revision}'; request one by its quantization, as in \
         {repo}:Q8_0; it has {found}",
        requested(quantization.as_deref())
    )]
    NoGguf {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
        /// The requested quantization.
        quantization: Option<String>,
        /// Names of its text models.
        found: String,
    },
    /// The hub denies access to the repository.
    #[error("the hub denies access to {repo} (HTTP {status}): {hint}")]
    Unauthorized {
        /// The repository.
        repo: String,
        /// 401 or 403.
        status: u16,
        /// How to get access.
        hint: &'static str,
    },
    /// A file is not in the cache, and offline mode is on.
    #[error(
        "{repo} at revision '{revision}': {missing} is not in {} and offline mode is on; unset HF_HUB_OFFLINE and \
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
    /// Every attempt to reach the hub failed, timed out or was interrupted.
    #[error("cannot fetch {url}: {message}; check the network and try again; the download will resume")]
    Network {
        /// The requested URL.
        url: String,
        /// Cause of the last attempt's failure.
        message: String,
    },
    /// The hub sent an unexpected response.
    #[error("unexpected response from {url}: {message}")]
    Response {
        /// The requested URL.
        url: String,
        /// Why it is unexpected.
        message: String,
    },
    /// A downloaded file does not match its git object id.
    #[error(
        "{file} is corrupt: its {size} bytes do not match the hub's git object {oid}; a proxy may have replaced them, \
         try again or use another network"
    )]
    Corrupt {
        /// The file.
        file: String,
        /// Expected size in bytes.
        size: u64,
        /// Expected git object id.
        oid: String,
    },
    /// Another process holds a lock in the cache without making progress.
    #[error("another process holds the lock {}; end it or wait for it", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file must be fetched, but the cache is not writable.
    #[error(
        "cannot write to the hub's cache: {}: {source}; set HF_HOME or HF_HUB_CACHE to a writable folder",
        path.display()
    )]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The caller cancelled the download. The next one resumes it.
    #[error("cancelled")]
    Cancelled,
    /// The runtime of the download cannot be started.
    #[error("cannot start a download: {source}")]
    Runtime {
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file or folder of the cache cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl HubError {
    /// Returns a conversion of file system errors at `path`, for `map_err`.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly { path, source },
            _ => Self::Io { path, source },
        }
    }

    /// Whether a complete cached copy may be used instead: not if the user cancelled or must fix an option.
    pub(super) fn allows_cached(&self) -> bool {
        !matches!(self, Self::Cancelled | Self::InvalidOption { .. })
    }
}

fn requested(quantization: Option<&str>) -> String {
    quantization.map_or_else(|| "a usual quantization".to_owned(), |name| format!("the quantization {}", shorten(name)))
}
