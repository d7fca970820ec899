//! The error type of this crate.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::json::shorten;

/// Errors of reading, validating and applying configurations.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file exceeds the size limit of configuration files.
    #[error("{} is longer than {limit} bytes, the limit of configuration files", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The size limit in bytes.
        limit: u64,
    },
    /// A text is not JSON, or not the expected kind of JSON document.
    #[error("{what} is not valid JSON: {message}")]
    Parse {
        /// The document.
        what: String,
        /// The parser's message and position.
        message: String,
    },
    /// A value has the wrong JSON type.
    #[error("`{key}` must be {expected}, found {found}")]
    Type {
        /// Key path from the root of the document, such as `text_config.hidden_size`.
        key: String,
        /// The expected type or range.
        expected: &'static str,
        /// The value found, shortened.
        found: String,
    },
    /// A value names something that this runtime does not support.
    #[error("`{key}` is {found:?}, which is not supported; supported: {supported}")]
    Unsupported {
        /// Key path of the value.
        key: String,
        /// The value, shortened.
        found: String,
        /// The supported values.
        supported: &'static str,
    },
    /// A value is out of range or inconsistent with another one.
    #[error("{what}: {message}")]
    Invalid {
        /// Key path or object that the message is about.
        what: String,
        /// Description of the problem, with the numbers.
        message: String,
    },
    /// An image has no pixels.
    #[error("an image of {height}x{width} (height x width) has no pixels")]
    EmptyImage {
        /// Height in pixels.
        height: u32,
        /// Width in pixels.
        width: u32,
    },
    /// An error with the file in which it occurred.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// The error in the file.
        source: Box<Error>,
    },
}

impl Error {
    /// An [`Error::Unsupported`].
    pub(crate) fn unsupported(key: impl Into<String>, found: &str, supported: &'static str) -> Self {
        Error::Unsupported { key: key.into(), found: shorten(found), supported }
    }

    /// An [`Error::Invalid`].
    pub(crate) fn invalid(what: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Invalid { what: what.into(), message: message.into() }
    }
}
