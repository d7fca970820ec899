//! Decoding of a frame.

use super::bitstream::Header;
use super::chunks::{Chunk, HEADER};
use super::container::ALPHA;
use crate::color::{Color, RowFormat, Samples};
use image_webp::WebPDecoder;
use rayon::prelude::*;
use std::io::Cursor;

/// A rectangle of the canvas, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rectangle {
    /// Left edge.
    pub(super) x: u32,
    /// Top edge.
    pub(super) y: u32,
    /// Width.
    pub(super) width: u32,
    /// Height.
    pub(super) height: u32,
}

impl Rectangle {
    /// Whether it is as large as a canvas of this size.
    pub(super) fn covers(&self, width: u32, height: u32) -> bool {
        (self.width, self.height) == (width, height)
    }

    /// Whether it is within a canvas of this size.
    pub(super) fn is_within(&self, width: u32, height: u32) -> bool {
        let ends = |start: u32, length: u32, end| start.checked_add(length).is_some_and(|sum| sum <= end);
        ends(self.x, self.width, width) && ends(self.y, self.height, height)
    }
}

/// A frame as stored.
#[derive(Debug, Clone)]
pub(super) struct Frame<'a> {
    /// Position on the canvas.
    pub(super) rectangle: Rectangle,
    /// Display duration in milliseconds.
    pub(super) duration: u32,
    /// Whether the rectangle is cleared before the next frame.
    pub(super) is_disposed: bool,
    /// Whether the frame is blended with the canvas instead of replacing its pixels.
    pub(super) is_blended: bool,
    /// Whether pixels may be transparent, according to the headers.
    pub(super) has_alpha: bool,
    /// The data of the ALPH chunk: alpha of a lossy frame.
    pub(super) alpha: Option<&'a [u8]>,
    /// The bitstream.
    pub(super) image: Chunk<'a>,
}

/// Decoded pixels of a frame, row by row.
pub(super) enum Pixels {
    /// Red, green, blue.
    Rgb(Vec<u8>),
    /// Red, green, blue, alpha.
    Rgba(Vec<u8>),
}

impl Frame<'_> {
    /// Decodes the pixels; the error is a message.
    pub(super) fn decode(&self) -> Result<Pixels, String> {
        if self.alpha.is_some_and(|alpha| alpha.len() < 2 || alpha[0] >> 6 != 0) {
            return Err("the header of its alpha data is invalid".into());
        }
        // Also limits the memory of the decoder, which allocates for the size in the bitstream.
        let Header { width, height, .. } = Header::read(&self.image)?;
        if (width, height) != (self.rectangle.width, self.rectangle.height) {
            return Err("the sizes of its frame and bitstream differ".into());
        }
        let mut decoder = WebPDecoder::new(Cursor::new(self.file())).map_err(|error| error.to_string())?;
        let mut pixels = vec![0; decoder.output_buffer_size().ok_or("the image is too large")?];
        decoder.read_image(&mut pixels).map_err(|error| error.to_string())?;
        Ok(if decoder.has_alpha() { Pixels::Rgba(pixels) } else { Pixels::Rgb(pixels) })
    }

    /// A still WebP file with only this frame.
    fn file(&self) -> Vec<u8> {
        let has_alpha = self.alpha.is_some() || &self.image.kind == b"VP8L";
        let length = self.image.padded.len() + self.alpha.map_or(0, <[u8]>::len) + 6 * HEADER;
        let mut file = Vec::with_capacity(length);
        file.extend(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0");
        file.extend([if has_alpha { ALPHA } else { 0 }, 0, 0, 0]);
        for side in [self.rectangle.width, self.rectangle.height] {
            file.extend(&(side - 1).to_le_bytes()[..3]);
        }
        if let Some(alpha) = self.alpha {
            push(&mut file, b"ALPH", alpha);
        }
        // As in libwebp, the bitstream includes the byte of padding.
        push(&mut file, &self.image.kind, self.image.padded);
        let size = (file.len() - HEADER) as u32;
        file[4..8].copy_from_slice(&size.to_le_bytes());
        file
    }
}

/// Appends a chunk.
fn push(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend(kind);
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    if data.len() % 2 == 1 {
        file.push(0);
    }
}

impl Pixels {
    /// RGB, composited over white if `with_alpha`, otherwise ignoring alpha.
    pub(super) fn into_rgb(self, with_alpha: bool) -> Vec<u8> {
        match self {
            Self::Rgb(rgb) => rgb,
            Self::Rgba(rgba) => flatten(&rgba, with_alpha),
        }
    }
}

/// Converts RGBA to RGB: composited over white if `with_alpha`, otherwise ignoring alpha.
pub(super) fn flatten(rgba: &[u8], with_alpha: bool) -> Vec<u8> {
    const PIXELS: usize = 1 << 14;
    let color = if with_alpha { Color::Rgba([0, 1, 2, 3]) } else { Color::RgbAt([0, 1, 2]) };
    let format = RowFormat { samples: Samples::Bits(8), channels: 4, color };
    let mut rgb = vec![0; rgba.len() / 4 * 3];
    let parts = rgb.par_chunks_mut(3 * PIXELS).zip(rgba.par_chunks(4 * PIXELS));
    parts.for_each(|(rgb, rgba)| format.convert(rgba, &mut Vec::new(), rgb));
    rgb
}
