//! What loading reports while it runs.

/// What loading reports while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Bytes of a file have arrived from the hub.
    Download {
        /// The file being fetched.
        file: &'a str,
        /// Bytes in the cache, including those of an earlier attempt.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A one-line message for the user: loading goes on, but not in the usual way, such as from the cache alone because the
    /// hub refuses.
    Note(&'a str),
}
