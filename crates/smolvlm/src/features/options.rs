//! Options of the feature cache on disk.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Default bound on the size of the files: 7,200 tiles of the 256M model.
const MAX_BYTES: u64 = 1 << 30;

/// A cache of tile features on disk: an image that was asked about before, in this process or another one, is not
/// encoded again. Processes and models may share a folder. Features are found only by a model that would compute the
/// same ones: with the same weights of vision encoder and connector, the same number format and the same kind of
/// device.
///
/// The files reveal what the images show; they are readable by their owner only. Errors of reading and writing never
/// fail a request.
///
/// ```
/// use smolvlm::{FeatureCacheOptions, Options};
///
/// let cache = FeatureCacheOptions::new("/var/cache/smolvlm").max_bytes(256 << 20);
/// let cache = cache.on_warning(|text| eprintln!("{text}"));
/// let options = Options { feature_cache: Some(cache), ..Options::default() };
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FeatureCacheOptions {
    /// The folder. It is created if it does not exist; other files in it are neither read nor deleted.
    pub folder: PathBuf,
    /// Maximum size of all features in the folder in bytes, 1 GiB by default; the least recently used ones are deleted.
    /// With several processes, each may exceed it by a sixteenth.
    pub max_bytes: u64,
    pub(super) warn: Warn,
}

impl FeatureCacheOptions {
    /// A cache in a folder, of the default size.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), max_bytes: MAX_BYTES, warn: Warn(Arc::new(|_| {})) }
    }

    /// The same cache with another maximum size.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Calls `warn` with a line for the user when features cannot be written, once per model, from another thread.
    #[must_use]
    pub fn on_warning(mut self, warn: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.warn = Warn(Arc::new(warn));
        self
    }
}

/// Receives a line for the user.
#[derive(Clone)]
pub(super) struct Warn(Arc<dyn Fn(&str) + Send + Sync>);

impl Warn {
    pub(super) fn call(&self, text: &str) {
        (self.0)(text);
    }
}

impl fmt::Debug for Warn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Warn")
    }
}
