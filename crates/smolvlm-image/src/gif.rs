//! GIF decoder (GIF89a) for the first frame, compatible with Pillow 13.

use crate::color::{Color, RowFormat, Samples, gray_table};
use crate::lzw::{Codes, Lzw};
use std::io::{ErrorKind, Read};

/// A GIF file with parsed header of the first frame.
pub(crate) struct Gif<'a> {
    width: usize,
    height: usize,
    frame: Frame<'a>,
}

struct Frame<'a> {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    interlaced: bool,
    colors: Box<[[u8; 3]; 256]>,
    transparent: Option<u8>,
    code_bits: u8,
    /// Sub-blocks of compressed indices and the rest of the file.
    data: &'a [u8],
}

const TRUNCATED: &str = "the file is truncated";

impl<'a> Gif<'a> {
    /// Parses the file up to the first frame; the error is a message.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let mut rest = bytes;
        let &[_, _, _, _, _, _, a, b, c, d, flags, _, _] = take(&mut rest, 13)? else { return Err(TRUNCATED.into()) };
        let canvas = [short(a, b), short(c, d)];
        let mut colors = None;
        if flags & 0x80 != 0 {
            colors = Some(take(&mut rest, 3 << ((flags & 7) + 1))?);
        }
        let mut transparent = None;
        loop {
            match take(&mut rest, 1)? {
                b"!" => {
                    let label = take(&mut rest, 1)?[0];
                    let block = take_block(&mut rest)?;
                    if let (0xf9, &[flags, _, _, index, ..]) = (label, block) {
                        transparent = (flags & 1 != 0).then_some(index).or(transparent);
                    }
                    let mut more = !block.is_empty();
                    while more {
                        more = !take_block(&mut rest)?.is_empty();
                    }
                }
                b"," => break,
                b";" => return Err("there is no frame".into()),
                // Stray bytes between blocks.
                _ => {}
            }
        }
        let &[a, b, c, d, e, f, g, h, flags] = take(&mut rest, 9)? else { return Err(TRUNCATED.into()) };
        let [left, top, width, height] = [short(a, b), short(c, d), short(e, f), short(g, h)];
        if flags & 0x80 != 0 {
            colors = Some(take(&mut rest, 3 << ((flags & 7) + 1))?);
        }
        let code_bits = take(&mut rest, 1)?[0];
        let mut table = gray_table(8, false);
        if let Some(colors) = colors {
            let colors = colors.as_chunks().0;
            // Pillow treats a palette whose colors equal their index as no palette: indices beyond it are gray rather
            // than black.
            if colors.iter().zip(table.iter()).any(|(color, gray)| color != gray) {
                *table = [[0; 3]; 256];
                table.iter_mut().zip(colors).for_each(|(entry, color)| *entry = *color);
            }
        }
        let frame = Frame {
            left,
            top,
            width,
            height,
            interlaced: flags & 0x40 != 0,
            colors: table,
            transparent,
            code_bits,
            data: rest,
        };
        // Frames may exceed the canvas, which is then enlarged.
        Ok(Self { width: canvas[0].max(left + width), height: canvas[1].max(top + height), frame })
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    /// Decodes to interleaved RGB; the error is a message.
    pub(crate) fn pixels(&self) -> Result<Vec<u8>, String> {
        let Frame { left, top, width, height, .. } = self.frame;
        let mut colors = self.frame.colors.clone();
        // The area outside the frame has the transparent color or else the first one.
        let mut outside = colors[0];
        if let Some(index) = self.frame.transparent {
            colors[usize::from(index)] = [255; 3];
            outside = [255; 3];
        }
        let mut rgb = vec![0; 3 * self.width * self.height];
        if outside != [0; 3] && (width, height) != (self.width, self.height) {
            rgb.as_chunks_mut().0.fill(outside);
        }
        let format = RowFormat { samples: Samples::Bits(8), channels: 1, color: Color::Table(colors) };
        let code_bits = self.frame.code_bits;
        if code_bits > 11 {
            return Err(format!("codes of {code_bits} bits are unknown"));
        }
        let mut indices = Lzw::new(Blocks { rest: self.frame.data, block: [].iter() }, Codes::Gif(code_bits));
        let mut row = vec![0; width];
        let order: &[(usize, usize)] =
            if self.frame.interlaced { &[(0, 8), (4, 8), (2, 4), (1, 2)] } else { &[(0, 1)] };
        for y in order.iter().flat_map(|&(start, step)| (start..height).step_by(step)) {
            indices.read_exact(&mut row).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => TRUNCATED.to_owned(),
                _ => format!("the compressed pixels are damaged: {error}"),
            })?;
            let line = &mut rgb[3 * ((top + y) * self.width + left)..][..3 * width];
            format.convert(&row, &mut Vec::new(), line);
        }
        Ok(rgb)
    }
}

/// Concatenated bytes of sub-blocks. As in Pillow, an empty sub-block does not end the data; missing pixels are an
/// error.
struct Blocks<'a> {
    rest: &'a [u8],
    block: std::slice::Iter<'a, u8>,
}

impl Iterator for Blocks<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            if let Some(&byte) = self.block.next() {
                return Some(byte);
            }
            self.block = take_block(&mut self.rest).ok()?.iter();
        }
    }
}

fn short(low: u8, high: u8) -> usize {
    usize::from(u16::from_le_bytes([low, high]))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    rest.split_off(..count).ok_or_else(|| TRUNCATED.into())
}

/// The next sub-block; an empty one ends a sequence of them.
fn take_block<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let length = take(rest, 1)?[0];
    take(rest, length.into())
}
