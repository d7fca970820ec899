//! The error type of this crate.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::json::shorten;

/// What can go wrong while configuration is read, checked or applied to an image size.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is larger than any configuration file may be.
    #[error("{} holds {bytes} bytes, a configuration file may hold {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes, or more than `limit` when it grew while it was read.
        bytes: u64,
        /// The largest size in bytes that is read.
        limit: u64,
    },
    /// A text is not JSON, or not the kind of JSON document that was expected.
    #[error("{what} is not valid JSON: {message}")]
    Parse {
        /// The document.
        what: String,
        /// Where and why reading stopped.
        message: String,
    },
    /// A key holds a value of the wrong JSON type.
    #[error("`{key}` must be {expected}, found {found}")]
    Type {
        /// Key path from the root of the document, such as `text_config.hidden_size`.
        key: String,
        /// The type or range that is read there.
        expected: &'static str,
        /// The value that is there, shortened.
        found: String,
    },
    /// A value names something that this runtime does not have.
    #[error("`{key}` is {found:?}, which is not supported; supported: {supported}")]
    Unsupported {
        /// Key path of the value.
        key: String,
        /// The value, shortened.
        found: String,
        /// The values that are supported.
        supported: &'static str,
    },
    /// A value is of the right type, but out of range or at odds with another one.
    #[error("{what}: {message}")]
    Invalid {
        /// Key path or object the message is about.
        what: String,
        /// What is wrong, with the numbers.
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
    /// Another error, with the file it was found in.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What was wrong in it.
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
