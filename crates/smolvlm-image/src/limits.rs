//! What an image may be at most.

use crate::Error;

/// What an image may be at most. All are checked before memory is allocated for pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, in bytes. 256 MiB by default.
    pub max_bytes: u64,
    /// Largest width in pixels. 65535 by default.
    pub max_width: u32,
    /// Largest height in pixels. 65535 by default.
    pub max_height: u32,
    /// Most pixels. 2^27 (134 million, 400 MB decoded) by default.
    pub max_pixels: u64,
    /// Most tiles of one image. 1024 by default; released settings make at most 17.
    pub max_tiles: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_width: 65_535, max_height: 65_535, max_pixels: 1 << 27, max_tiles: 1024 }
    }
}

pub(crate) fn check(what: &'static str, found: u64, limit: u64) -> Result<(), Error> {
    if found > limit { Err(Error::Limit { what, found, limit }) } else { Ok(()) }
}
