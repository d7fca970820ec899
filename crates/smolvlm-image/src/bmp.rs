//! BMP decoder compatible with Pillow 13: 1 to 32 bits, run-length encoding, common bit masks, both row orders.

use crate::color::{Color, RowFormat, Samples, gray_table};

/// A BMP file with parsed header.
pub(crate) struct Bmp<'a> {
    width: usize,
    height: usize,
    top_down: bool,
    format: RowFormat,
    run_lengths: Option<RunLengths>,
    data: &'a [u8],
    /// Where the data starts in the file.
    offset: usize,
}

/// Bits per pixel of run-length encoded data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RunLengths {
    Four,
    Eight,
}

const TRUNCATED: &str = "the file is truncated";

/// The parsed header.
struct Header {
    /// Header size in bytes.
    size: usize,
    width: u32,
    height: u32,
    top_down: bool,
    bits: u16,
    compression: u32,
    /// Number of palette colors.
    colors: u64,
    /// Bytes per palette entry.
    color_bytes: usize,
}

impl Header {
    /// Parses the header that follows the 14-byte file header.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let size = number(bytes, 14, 4)? as usize;
        let at = |offset: usize, size: usize| number(bytes, 14 + offset, size);
        match size {
            12 => {
                let bits = at(10, 2)? as u16;
                Ok(Self {
                    size,
                    width: at(4, 2)?,
                    height: at(6, 2)?,
                    top_down: false,
                    bits,
                    compression: 0,
                    colors: 1 << bits.min(32),
                    color_bytes: 3,
                })
            }
            40 | 52 | 56 | 64 | 108 | 124 => {
                // The header must be complete.
                at(size - 1, 1)?;
                let (height, bits) = (at(8, 4)?, at(14, 2)? as u16);
                // Pillow uses only the upper byte to detect the sign.
                let top_down = height >> 24 == 0xff;
                let colors = match at(32, 4)? {
                    0 => 1 << bits.min(32),
                    colors => u64::from(colors),
                };
                Ok(Self {
                    size,
                    width: at(4, 4)?,
                    height: if top_down { height.wrapping_neg() } else { height },
                    top_down,
                    bits,
                    compression: at(16, 4)?,
                    colors,
                    color_bytes: 4,
                })
            }
            size => Err(format!("a header of {size} bytes is unknown")),
        }
    }
}

impl<'a> Bmp<'a> {
    /// Parses the header; the error is a message.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let header = Header::read(bytes)?;
        let mut offset = number(bytes, 10, 4)? as usize;
        let mut after_header = 14 + header.size;
        if offset == after_header && header.bits <= 8 {
            let palette = (header.color_bytes as u64).saturating_mul(header.colors);
            offset = offset.saturating_add(usize::try_from(palette).unwrap_or(usize::MAX));
        }
        let run_lengths = match (header.compression, header.bits) {
            (0 | 3, _) => None,
            (1, 8) => Some(RunLengths::Eight),
            (2, 4 | 8) => Some(RunLengths::Four),
            (1, 4) => Some(RunLengths::Eight),
            (compression, bits) => return Err(format!("compression {compression} of {bits} bits is unknown")),
        };
        let (samples, channels, color) = match header.bits {
            1 | 4 | 8 if header.compression != 3 => {
                let stored = bytes.get(after_header..).unwrap_or_default();
                let color = palette_color(stored, &header)?;
                after_header += stored.len().min(header.color_bytes * header.colors as usize);
                (Samples::Bits(if run_lengths.is_some() { 8 } else { header.bits as u8 }), 1, color)
            }
            16 | 24 | 32 if run_lengths.is_none() => {
                let (channels, color) = if header.compression == 3 {
                    let short = header.size < 52;
                    let masks = [0, 4, 8, 12].map(|at| number(bytes, if short { after_header } else { 54 } + at, 4));
                    let [red, green, blue, alpha] = masks;
                    let alpha = if header.size >= 56 { alpha? } else { 0 };
                    if short {
                        after_header += 12;
                    }
                    masked(header.bits, [red?, green?, blue?, alpha])?
                } else {
                    match header.bits {
                        16 => (2, Color::Packed16(5)),
                        24 => (3, Color::RgbAt([2, 1, 0])),
                        _ => (4, Color::RgbAt([2, 1, 0])),
                    }
                };
                (Samples::Bits(8), channels, color)
            }
            bits => return Err(format!("{bits} bits with compression {} are unknown", header.compression)),
        };
        if offset == 0 {
            offset = after_header;
        }
        Ok(Self {
            width: header.width as usize,
            height: header.height as usize,
            top_down: header.top_down,
            format: RowFormat { samples, channels, color },
            run_lengths,
            data: bytes.get(offset..).unwrap_or_default(),
            offset,
        })
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    /// Decodes to interleaved RGB; the error is a message.
    pub(crate) fn pixels(&self) -> Result<Vec<u8>, String> {
        let (width, height) = (self.width, self.height);
        let indices;
        let (data, stride) = match self.run_lengths {
            None => (self.data, self.format.row_bytes(width).next_multiple_of(4)),
            Some(kind) => {
                indices = self.indices(kind);
                (&indices[..], width)
            }
        };
        let row_bytes = self.format.row_bytes(width);
        // The padding of the last row may be missing.
        if data.len() < stride * (height - 1) + row_bytes {
            return Err(TRUNCATED.into());
        }
        let mut rgb = vec![0; 3 * width * height];
        let mut scratch = Vec::new();
        for (row, y) in data.chunks(stride).zip(0..height) {
            let y = if self.top_down { y } else { height - 1 - y };
            self.format.convert(&row[..row_bytes], &mut scratch, &mut rgb[3 * width * y..][..3 * width]);
        }
        Ok(rgb)
    }

    /// Decodes run-length encoded indices, as far as the data goes.
    fn indices(&self, kind: RunLengths) -> Vec<u8> {
        let all = self.width * self.height;
        // Two bytes give at most 255 indices, except for skipped ones.
        let mut indices = Vec::with_capacity(all.min(self.data.len().saturating_mul(128)));
        let mut rest = self.data;
        let mut x = 0;
        let four = kind == RunLengths::Four;
        while indices.len() < all {
            let Some(&[count, value]) = rest.split_off(..2) else { break };
            match (count, value) {
                (0, 0) => {
                    indices.resize(indices.len().next_multiple_of(self.width), 0);
                    x = 0;
                }
                (0, 1) => break,
                (0, 2) => {
                    let Some(&[right, up]) = rest.split_off(..2) else { break };
                    let leap = usize::from(right) + usize::from(up) * self.width;
                    indices.resize(all.min(indices.len() + leap), 0);
                    x = indices.len() % self.width;
                }
                (0, count) => {
                    let pixels = usize::from(count).min(all - indices.len());
                    let bytes = if four { pixels.div_ceil(2) } else { pixels };
                    let stored = rest.split_off(..bytes.min(rest.len())).unwrap_or_default();
                    if four {
                        let pairs = stored.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                        indices.extend(pairs.take(pixels));
                    } else {
                        indices.extend_from_slice(stored);
                    }
                    if stored.len() < bytes || indices.len() == all {
                        break;
                    }
                    x += usize::from(count);
                    // Aligned to two bytes in the file.
                    if !(self.offset + self.data.len() - rest.len()).is_multiple_of(2) {
                        rest = rest.get(1..).unwrap_or_default();
                    }
                }
                (count, value) => {
                    let count = usize::from(count).min(self.width.saturating_sub(x));
                    let pair = if four { [value >> 4, value & 15] } else { [value; 2] };
                    indices.extend(pair.iter().cycle().take(count));
                    x += count;
                }
            }
        }
        indices
    }
}

/// The color format of palette indices. Pillow treats a palette that is a gray ramp as no palette: indices beyond it
/// are gray.
fn palette_color(stored: &[u8], header: &Header) -> Result<Color, String> {
    if !(1..=65_536).contains(&header.colors) {
        return Err(format!("a palette of {} colors is unknown", header.colors));
    }
    let count = header.colors as usize;
    let colors = stored.chunks_exact(header.color_bytes).take(count).map(|color| [color[2], color[1], color[0]]);
    let bits = if count <= 2 { 1 } else { 8 };
    let ramp = gray_table(bits, false);
    let is_ramp = stored.len() >= count * header.color_bytes
        && count <= 256
        && colors.clone().zip(ramp.iter()).all(|(a, b)| a == *b);
    if is_ramp && u16::from(bits) == header.bits {
        return Ok(Color::Table(ramp));
    }
    let mut table = Box::new([[0; 3]; 256]);
    table.iter_mut().zip(colors).for_each(|(entry, color)| *entry = color);
    Ok(Color::Table(table))
}

/// Bytes per pixel and color format for the bit masks of red, green, blue and alpha that Pillow supports.
fn masked(bits: u16, masks: [u32; 4]) -> Result<(usize, Color), String> {
    let [red, green, blue, alpha] = masks;
    let byte_of = |mask: u32| match mask {
        0xff => Some(0),
        0xff00 => Some(1),
        0xff_0000 => Some(2),
        0xff00_0000 => Some(3),
        _ => None,
    };
    Ok(match (bits, [red, green, blue]) {
        (16, [0xf800, 0x7e0, 0x1f]) => (2, Color::Packed16(6)),
        (16, [0x7c00, 0x3e0, 0x1f]) => (2, Color::Packed16(5)),
        (24, [0xff_0000, 0xff00, 0xff]) => (3, Color::RgbAt([2, 1, 0])),
        (32, [0, 0, 0]) if alpha == 0 => (4, Color::Rgba([2, 1, 0, 3])),
        (32, colors) => match (colors.map(byte_of), byte_of(alpha)) {
            ([Some(r), Some(g), Some(b)], Some(alpha)) => (4, Color::Rgba([r, g, b, alpha])),
            ([Some(r), Some(g), Some(b)], None) if alpha == 0 => (4, Color::RgbAt([r, g, b])),
            _ => return Err("its bit masks are unknown".into()),
        },
        _ => return Err("its bit masks are unknown".into()),
    })
}

/// A little-endian number of `size` bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Result<u32, String> {
    let bytes = at.checked_add(size).and_then(|end| bytes.get(at..end)).ok_or(TRUNCATED)?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte)))
}
