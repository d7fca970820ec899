//! The error type of this crate.

use smolvlm_config::Resample;
use std::io;
use std::path::PathBuf;

/// Errors of image loading and preprocessing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file does not contain a usable image.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<Error>,
    },
    /// The input is empty.
    #[error("the image is empty (0 bytes)")]
    Empty,
    /// The image format is unknown.
    #[error("no image format recognized; PNG, JPEG, WebP, GIF, BMP and TIFF can be read")]
    UnknownFormat,
    /// The image is damaged or uses an unsupported feature.
    #[error("the {format} image cannot be decoded: {message}")]
    Decode {
        /// The format.
        format: String,
        /// The decoder's message.
        message: String,
    },
    /// The image exceeds a limit.
    #[error("{what} is {found}, more than the limit of {limit}, which {raise} raises")]
    Limit {
        /// The limited quantity, with its unit.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The limit.
        limit: u64,
        /// The CLI option, if there is one, and the field of [`Limits`](crate::Limits) that raise the limit.
        raise: &'static str,
    },
    /// The number of bytes of a decoded image does not match its size.
    #[error("{width} x {height} RGB pixels take {expected} bytes, {found} were given")]
    RgbSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Expected number of bytes.
        expected: u64,
        /// Given number of bytes.
        found: usize,
    },
    /// A side of an image is zero.
    #[error("an image of {width} x {height} pixels cannot be resized")]
    EmptyImage {
        /// Height in pixels.
        height: u32,
        /// Width in pixels.
        width: u32,
    },
    /// A resampling filter that has no 8-bit kernel in the reference.
    #[error(
        "resample {} ({filter:?}) is not supported; use 1 (Lanczos), 2 (bilinear), 3 (bicubic) or 0 (nearest)",
        filter.number()
    )]
    Resample {
        /// The filter.
        filter: Resample,
    },
    /// A batch without images.
    #[error("none of the {rows} samples has an image")]
    NoImages {
        /// Number of samples in the batch.
        rows: usize,
    },
    /// The tile sizes in a batch differ.
    #[error("tiles of {first} and of {other} pixels cannot be in one batch")]
    MixedTiles {
        /// Edge of the first tile in pixels.
        first: usize,
        /// Edge of the first tile of another size in pixels.
        other: usize,
    },
    /// An invalid configuration.
    #[error(transparent)]
    Config(#[from] smolvlm_config::Error),
}
