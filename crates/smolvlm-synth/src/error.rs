//! The error type of this crate.

use std::path::PathBuf;

use crate::kind::Kind;

/// Errors, grouped by who can fix them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Input: no kind of question has this name.
    #[error("no kind of question is called {text:?}; there are {}", Kind::ALL.map(Kind::as_str).join(", "))]
    UnknownKind {
        /// The name.
        text: String,
    },
    /// Input: JSON can only name files in UTF-8.
    #[error("the path {path:?} is not UTF-8")]
    PathNotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// Input: the numbers of a [`Picture`](crate::Picture) disagree.
    #[error("a picture of {width}x{height} pixels has {} bytes, not {bytes}", 3 * width * height)]
    PictureSize {
        /// Its pixels from left to right.
        width: usize,
        /// Its pixels from top to bottom.
        height: usize,
        /// The bytes that it has.
        bytes: usize,
    },
    /// Io: a file or folder could not be written.
    #[error("cannot write {path:?}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Io: a picture could not be written.
    #[error("cannot write {path:?} as PNG: {source}")]
    Png {
        /// The file.
        path: PathBuf,
        /// Why.
        source: image::ImageError,
    },
}
