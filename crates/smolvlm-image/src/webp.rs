//! WebP files, with `image-webp`, whose pixels are libwebp's.

use crate::color::{Color, RowFormat, Samples};
use crate::orientation::{Metadata, Orientation};
use image_webp::WebPDecoder;
use rayon::prelude::*;
use std::borrow::Cow;
use std::io::Cursor;

/// A WebP file whose chunks have been listed.
pub(crate) struct Webp<'a> {
    decoder: WebPDecoder<Cursor<&'a [u8]>>,
    metadata: Metadata<'a>,
}

/// Most pixels, above which `image-webp` overflows.
const MAX_PIXELS: u64 = 1 << 29;

impl<'a> Webp<'a> {
    /// Lists the chunks; the error is a message.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(format!("{width} x {height} pixels are more than WebP files can have"));
        }
        let mut metadata = Metadata::default();
        let mut frames = Vec::new();
        for (kind, data) in chunks(bytes.get(12..).unwrap_or_default()) {
            match kind {
                b"EXIF" if metadata.exif.is_none() => metadata.exif = Some(Cow::Borrowed(data)),
                b"XMP " if metadata.xmp.is_none() => metadata.xmp = Some(Cow::Borrowed(data)),
                b"VP8 " => frames.push(data),
                b"ANMF" => frames.extend(
                    chunks(data.get(16..).unwrap_or_default())
                        .filter(|(kind, _)| *kind == b"VP8 ")
                        .map(|(_, data)| data),
                ),
                _ => {}
            }
        }
        // The decoder allocates what a frame's own header says.
        let fits = |frame: &&[u8]| match frame.get(6..10) {
            Some(&[a, b, c, d]) => {
                let [frame_width, frame_height] = [[a, b], [c, d]].map(|side| u16::from_le_bytes(side) & 0x3fff);
                u32::from(frame_width) <= width && u32::from(frame_height) <= height
            }
            _ => true,
        };
        if !frames.iter().all(fits) {
            return Err("a frame is larger than the image".into());
        }
        Ok(Self { decoder, metadata })
    }

    /// Width and height in pixels, as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    /// How the image is to be turned.
    pub(crate) fn orientation(&self) -> Orientation {
        self.metadata.orientation()
    }

    /// Decodes the first frame to interleaved RGB; the error is a message.
    pub(crate) fn pixels(&mut self) -> Result<Vec<u8>, String> {
        const PIXELS: usize = 1 << 14;
        let mut stored = vec![0; self.decoder.output_buffer_size().ok_or("the image is too large")?];
        self.decoder.read_image(&mut stored).map_err(|error| error.to_string())?;
        if !self.decoder.has_alpha() {
            return Ok(stored);
        }
        let format = RowFormat { samples: Samples::Bits(8), channels: 4, color: Color::Rgba([0, 1, 2, 3]) };
        let mut rgb = vec![0; stored.len() / 4 * 3];
        let parts = rgb.par_chunks_mut(3 * PIXELS).zip(stored.par_chunks(4 * PIXELS));
        parts.for_each(|(rgb, rgba)| format.convert(rgba, &mut Vec::new(), rgb));
        Ok(rgb)
    }
}

/// The chunks of a RIFF list, as far as they are complete: their type and their data.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk()?;
        let (size, after) = after.split_first_chunk()?;
        let size = u32::from_le_bytes(*size) as usize;
        let data = after.get(..size)?;
        // Chunks have an even length.
        rest = after.get(size + size % 2..).unwrap_or_default();
        Some((kind, data))
    })
}
