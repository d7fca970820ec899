//! The error type of this crate.

/// Errors of starting and running a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another --host or --port")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A value of the configuration is invalid.
    #[error("{option} {problem}")]
    Config {
        /// The option.
        option: &'static str,
        /// The value and what is allowed.
        problem: String,
    },
    /// Threads, signals or connections failed.
    #[error("the server failed: {0}")]
    Io(#[from] std::io::Error),
}
