//! Progress events of a download.

/// A progress event of a download. Returning [`Break`](std::ops::ControlFlow::Break) cancels it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Bytes of a file were received.
    Progress {
        /// The file being fetched.
        file: &'a str,
        /// Bytes received so far, including those of earlier attempts.
        done: u64,
        /// Size of the file in bytes.
        total: u64,
    },
    /// A one-line warning for the user, such as the use of a cached revision because the hub is unreachable.
    Note(&'a str),
    /// No other event for 100 milliseconds, so that callers can cancel.
    Idle,
}
