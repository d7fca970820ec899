//! What a download reports while it runs.

/// What a download reports while it runs. Returning [`Break`](std::ops::ControlFlow::Break) cancels it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Bytes of a file have arrived.
    Progress {
        /// The file being fetched.
        file: &'a str,
        /// Bytes in the cache, including those of an earlier attempt.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A one-line message for the user: the download goes on, but not in the usual way.
    Note(&'a str),
    /// Nothing has happened for a tenth of a second.
    Idle,
}
