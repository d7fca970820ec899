//! A decoded image.

use crate::Error;
use crate::color::{Color, RowFormat, Samples};
use crate::orientation::{self, Orientation};
use rayon::prelude::*;

/// A decoded image: 8-bit RGB, interleaved, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Rgb {
    /// An image of `width` x `height` pixels from its bytes, `[height, width, 3]`.
    ///
    /// # Errors
    ///
    /// [`Error::RgbSize`] if the number of bytes is not `3 * width * height`.
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Result<Self, Error> {
        let expected = 3 * u64::from(width) * u64::from(height);
        if data.len() as u64 != expected {
            return Err(Error::RgbSize { width, height, expected, found: data.len() });
        }
        Ok(Self { width, height, data })
    }

    /// An image from RGBA bytes, `[height, width, 4]`, composited over white.
    ///
    /// # Errors
    ///
    /// [`Error::RgbSize`] if the number of bytes is not `4 * width * height`; the error gives the counts without alpha.
    pub fn from_rgba(width: u32, height: u32, data: Vec<u8>) -> Result<Self, Error> {
        let expected = 3 * u64::from(width) * u64::from(height);
        if data.len() as u64 != expected / 3 * 4 {
            return Err(Error::RgbSize { width, height, expected, found: data.len() / 4 * 3 });
        }
        const PIXELS: usize = 1 << 14;
        let format = RowFormat { samples: Samples::Bits(8), channels: 4, color: Color::Rgba([0, 1, 2, 3]) };
        let mut rgb = vec![0; data.len() / 4 * 3];
        let chunks = rgb.par_chunks_mut(3 * PIXELS).zip(data.par_chunks(4 * PIXELS));
        chunks.for_each(|(rgb, rgba)| format.convert(rgba, &mut Vec::new(), rgb));
        Ok(Self { width, height, data: rgb })
    }

    /// Applies an EXIF orientation (1 to 8); any other number leaves the image unchanged.
    #[must_use]
    pub fn with_orientation(self, exif: u8) -> Self {
        orientation::apply(self, Orientation::from_exif(exif))
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes, `[height, width, 3]`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// An image whose number of bytes is known to match its size.
    pub(crate) fn from_parts(width: u32, height: u32, data: Vec<u8>) -> Self {
        debug_assert_eq!(data.len() as u64, 3 * u64::from(width) * u64::from(height));
        Self { width, height, data }
    }
}
