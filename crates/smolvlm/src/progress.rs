//! Progress of loading.

/// A progress event of loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Part of a file has been downloaded from the Hub.
    Download {
        /// The file being downloaded.
        file: &'a str,
        /// Bytes in the cache, including those of an earlier attempt.
        done: u64,
        /// Total size in bytes.
        total: u64,
    },
    /// A one-line warning for the user: loading continues, but not as expected, such as from the cache alone because
    /// the Hub refuses the request.
    Note(&'a str),
}
