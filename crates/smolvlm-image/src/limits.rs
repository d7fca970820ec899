//! Image size limits.

use crate::Error;

/// Image size limits, all checked before memory is allocated for pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Maximum file size in bytes. 256 MiB by default.
    pub max_bytes: u64,
    /// Maximum width in pixels. 2^20 by default: resizing takes memory per pixel of a side.
    pub max_width: u32,
    /// Maximum height in pixels. 2^20 by default.
    pub max_height: u32,
    /// Maximum number of pixels. 178,956,970 (537 MB decoded) by default, as Pillow's `MAX_IMAGE_PIXELS`.
    pub max_pixels: u64,
    /// Maximum number of tiles per image. 1024 by default; released settings give at most 17.
    pub max_tiles: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_width: 1 << 20, max_height: 1 << 20, max_pixels: 178_956_970, max_tiles: 1024 }
    }
}

impl Limits {
    /// Checks the file size.
    pub(crate) fn check_bytes(&self, bytes: usize) -> Result<(), Error> {
        let raise = "Limits::max_bytes";
        check("the file's size in bytes", bytes as u64, self.max_bytes, raise)
    }

    /// Checks the image size.
    pub(crate) fn check_size(&self, width: u32, height: u32) -> Result<(), Error> {
        self.check_pixels("the image's number of pixels", u64::from(width) * u64::from(height))?;
        check(
            "the image's width in pixels",
            width.into(),
            self.max_width.into(),
            "--max-image-side or Limits::max_width",
        )?;
        let raise = "--max-image-side or Limits::max_height";
        check("the image's height in pixels", height.into(), self.max_height.into(), raise)
    }

    /// Checks the number of pixels; `what` describes them in the error.
    pub(crate) fn check_pixels(&self, what: &'static str, pixels: u64) -> Result<(), Error> {
        check(what, pixels, self.max_pixels, "--max-image-pixels or Limits::max_pixels")
    }

    /// Checks the number of tiles.
    pub(crate) fn check_tiles(&self, tiles: u64) -> Result<(), Error> {
        check("the image's number of tiles", tiles, self.max_tiles as u64, "Limits::max_tiles")
    }
}

fn check(what: &'static str, found: u64, limit: u64, raise: &'static str) -> Result<(), Error> {
    if found > limit { Err(Error::Limit { what, found, limit, raise }) } else { Ok(()) }
}
