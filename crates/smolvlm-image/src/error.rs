//! The error type of this crate.

use smolvlm_config::Resample;
use std::io;
use std::path::PathBuf;

/// What can go wrong between a file and its tiles.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is no image that can be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },
    /// There are no bytes.
    #[error("the image is empty (0 bytes)")]
    Empty,
    /// The bytes are in no known format.
    #[error("no image format recognized; PNG, JPEG, WebP, GIF, BMP and TIFF can be read")]
    UnknownFormat,
    /// The image is damaged, or uses what its decoder does not know.
    #[error("the {format} image cannot be decoded: {message}")]
    Decode {
        /// The format.
        format: String,
        /// What the decoder said.
        message: String,
    },
    /// The image is larger than the limits allow.
    #[error("{what} is {found}, more than the limit of {limit}, which {raise} raises")]
    Limit {
        /// What is too large, with its unit.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        limit: u64,
        /// The option of the command, if there is one, and the field of [`Limits`](crate::Limits) that raise it.
        raise: &'static str,
    },
    /// The pixels of a decoded image do not fit its size.
    #[error("{width} x {height} RGB pixels take {expected} bytes, {found} were given")]
    RgbSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes that fit.
        expected: u64,
        /// Bytes that were given.
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
    /// The resampling filter has no 8-bit kernel in the reference either.
    #[error("resample {} ({filter:?}) is not supported; use 1 (Lanczos), 2 (bilinear), 3 (bicubic) or 0 (nearest)", filter.number())]
    Resample {
        /// The filter.
        filter: Resample,
    },
    /// A batch has no images at all.
    #[error("none of the {rows} samples has an image")]
    NoImages {
        /// Samples of the batch.
        rows: usize,
    },
    /// Tiles of one batch have different edges.
    #[error("tiles of {first} and of {other} pixels cannot be in one batch")]
    MixedTiles {
        /// Edge of the first tile.
        first: usize,
        /// Another edge.
        other: usize,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] smolvlm_config::Error),
}
