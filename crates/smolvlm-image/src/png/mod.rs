//! PNG decoder compatible with Pillow 13: decodes the default image, verifies the checksums of the chunks before it,
//! uses later chunks only for the orientation, and ignores gamma and color profiles.

mod chunks;
mod pixels;

use crate::color::{Color, RowFormat, Samples, gray_table, over_white};
use crate::orientation::{Metadata, Orientation};
use chunks::{Chunk, Chunks, MetadataChunks};

/// A PNG file with parsed chunks.
pub(crate) struct Png<'a> {
    width: u32,
    height: u32,
    format: RowFormat,
    interlaced: bool,
    /// The compressed pixel data, one slice per chunk.
    data: Vec<&'a [u8]>,
    metadata: Metadata<'a>,
}

/// The IHDR chunk.
struct Header {
    width: u32,
    height: u32,
    depth: u8,
    color_type: u8,
    interlaced: bool,
}

impl<'a> Png<'a> {
    /// Width and height in the header, without further checks; `None` if the file does not start with one.
    pub(crate) fn header_size(bytes: &[u8]) -> Option<(u32, u32)> {
        let header =
            bytes.get(..24).filter(|header| header.starts_with(chunks::SIGNATURE) && &header[12..16] == b"IHDR")?;
        let [.., a, b, c, d, e, f, g, h] = *header else { return None };
        Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
    }

    /// Parses the chunks; the error is a message.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let mut chunks = Chunks::new(bytes);
        let mut header = None;
        let (mut palette, mut transparency) = (None, None);
        let mut metadata = MetadataChunks::default();
        let (mut frames, mut frame_seen) = (0, false);
        let first = loop {
            let chunk = chunks.next()?.ok_or("the file is truncated")?;
            match &chunk.kind {
                b"IDAT" => break chunk,
                b"IEND" => return Err("there are no pixels".into()),
                _ => {}
            }
            chunks.verify(&chunk)?;
            match &chunk.kind {
                b"IHDR" => header = Some(Header::read(chunk.data)?),
                b"PLTE" => palette = Some(chunk.data),
                b"tRNS" => transparency = Some(chunk.data),
                b"acTL" => frames = chunk.data.first_chunk().map_or(0, |count| u32::from_be_bytes(*count)),
                b"fcTL" => frame_seen = true,
                _ => metadata.add(&chunk),
            }
        };
        let header = header.ok_or("the header is missing")?;
        // Pixel data before the first frame header is a default image outside of the animation.
        let animated = frames > 1 || (frames == 1 && !frame_seen);
        let mut data = vec![first.data];
        let mut next = chunks.next_unverified()?;
        while let Some(Chunk { kind: [b'I', b'D', b'A', b'T'], data: piece }) = next {
            data.push(piece);
            next = chunks.next_unverified()?;
        }
        while let Some(chunk) = next {
            // The reference stops at the next frame of an animation.
            if &chunk.kind == b"IEND" || (&chunk.kind == b"fcTL" && animated) {
                break;
            }
            metadata.add(&chunk);
            next = chunks.next_unverified()?;
        }
        let format = header.row_format(palette.unwrap_or_default(), transparency)?;
        let Header { width, height, interlaced, .. } = header;
        Ok(Self { width, height, format, interlaced, data, metadata: metadata.metadata() })
    }

    /// Width and height in pixels, as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The orientation to apply.
    pub(crate) fn orientation(&self) -> Orientation {
        self.metadata.orientation()
    }

    /// Decodes to interleaved RGB; the error is a message.
    pub(crate) fn pixels(&self) -> Result<Vec<u8>, String> {
        pixels::decode(self.width as usize, self.height as usize, &self.format, self.interlaced, &self.data)
    }
}

impl Header {
    fn read(data: &[u8]) -> Result<Self, String> {
        let &[a, b, c, d, e, f, g, h, depth, color_type, _, filter, interlace, ..] = data else {
            return Err("the header is too short".into());
        };
        if filter != 0 {
            return Err(format!("filter method {filter} is unknown"));
        }
        Ok(Self {
            width: u32::from_be_bytes([a, b, c, d]),
            height: u32::from_be_bytes([e, f, g, h]),
            depth,
            color_type,
            interlaced: interlace != 0,
        })
    }

    /// The row format. Pillow compares the lower 8 bits of a transparent color with the decoded pixels, whatever their
    /// bit depth was.
    fn row_format(&self, palette: &[u8], transparency: Option<&[u8]>) -> Result<RowFormat, String> {
        let samples = if self.depth == 16 { Samples::Sixteen { big_endian: true } } else { Samples::Bits(self.depth) };
        let needed = match self.color_type {
            0 => 2,
            2 => 6,
            _ => 0,
        };
        let key = transparency.filter(|_| needed > 0);
        if key.is_some_and(|key| key.len() < needed) {
            return Err("the transparent color is too short".into());
        }
        let (samples, channels, color) = match (self.color_type, self.depth) {
            (0, 1 | 2 | 4 | 8) => {
                let mut table = gray_table(self.depth, false);
                if let Some(&[high, low, ..]) = key {
                    let level = match self.depth {
                        1 if high | low == 0 => 0,
                        1 => 255,
                        _ => low,
                    };
                    table.iter_mut().filter(|gray| gray[0] == level).for_each(|gray| *gray = [255; 3]);
                }
                (samples, 1, Color::Table(table))
            }
            (0, 16) => match key {
                Some(&[high, low, ..]) => {
                    (Samples::SixteenKeyed([high, low]), 1, Color::TableAlpha(gray_table(8, false)))
                }
                _ => (samples, 1, Color::Table(gray_table(8, false))),
            },
            (2, 8 | 16) => match key {
                Some(&[_, r, _, g, _, b, ..]) => (samples, 3, Color::RgbKeyed([r, g, b])),
                _ => (samples, 3, Color::Rgb),
            },
            (3, 1 | 2 | 4 | 8) => {
                let mut table = Box::new([[0; 3]; 256]);
                table.iter_mut().zip(palette.as_chunks().0).for_each(|(entry, color)| *entry = *color);
                for (entry, &alpha) in table.iter_mut().zip(transparency.unwrap_or_default()) {
                    *entry = entry.map(|sample| over_white(sample, alpha));
                }
                (samples, 1, Color::Table(table))
            }
            (4, 8 | 16) => (samples, 2, Color::TableAlpha(gray_table(8, false))),
            (6, 8 | 16) => (samples, 4, Color::Rgba([0, 1, 2, 3])),
            (color, depth) => return Err(format!("color type {color} with {depth} bits is unknown")),
        };
        Ok(RowFormat { samples, channels, color })
    }
}
