//! Errors of JPEG decoding.

/// Reason why a JPEG file cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JpegError {
    /// The file ends before the image is complete.
    #[error("the file is truncated")]
    Truncated,
    /// The file has no scan.
    #[error("there is no image data in the file")]
    NoScan,
    /// A marker segment is damaged.
    #[error("the {0} segment is damaged")]
    Segment(&'static str),
    /// An unexpected marker.
    #[error("marker 0x{0:02x} is unknown or out of place")]
    Marker(u8),
    /// A feature that the reference does not support either.
    #[error("{0} cannot be read; convert the file, for example with djpeg or ImageMagick")]
    Unsupported(&'static str),
    /// A scan refers to a table that the file does not define.
    #[error("a scan uses {0} table {1}, which the file does not define")]
    MissingTable(&'static str, u8),
    /// Inconsistent scan parameters.
    #[error("the parameters of a scan (Ss {0}, Se {1}, Ah {2}, Al {3}) are invalid")]
    ScanParameters(u8, u8, u8, u8),
    /// The scans take too long to decode.
    #[error("the scans of the file are too many for its size ({scans} scans, {blocks} blocks)")]
    TooManyScans {
        /// Number of scans so far.
        scans: u32,
        /// Number of blocks that they visit.
        blocks: u64,
    },
    /// Arithmetic-coded data that the reference rejects.
    #[error(
        "arithmetic-coded data beyond the first 64 KiB of a file cannot be read; recode it without loss: jpegtran FILE"
    )]
    LongArithmetic,
}

/// Reason to stop reading: an error, or the end of the input window (see `Source`), at which libjpeg suspends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The input window is exhausted; the step can be repeated with a larger one.
    Suspended,
    /// The file cannot be decoded.
    Invalid(JpegError),
}

impl From<JpegError> for ReadError {
    fn from(error: JpegError) -> Self {
        ReadError::Invalid(error)
    }
}

impl ReadError {
    /// Converts to an error, for steps whose window cannot be extended.
    pub(crate) fn into_error(self) -> JpegError {
        match self {
            ReadError::Suspended => JpegError::Truncated,
            ReadError::Invalid(error) => error,
        }
    }
}
