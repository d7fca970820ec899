//! Parser of the WebP container that accepts and rejects the same files as libwebp's demuxer.

use super::bitstream::Header;
use super::chunks::{Chunk, HEADER, MAX_DATA, u24};
use super::frame::{Frame, Rectangle};
use crate::orientation::Metadata;
use std::borrow::Cow;

/// Number of bytes before the first chunk: RIFF, file size, WEBP.
const RIFF: usize = 12;

// Flags of the VP8X chunk.
const ANIMATION: u8 = 1 << 1;
const XMP: u8 = 1 << 2;
const EXIF: u8 = 1 << 3;
pub(super) const ALPHA: u8 = 1 << 4;
const ICC: u8 = 1 << 5;

/// A parsed WebP file. All frames are within the canvas.
#[derive(Debug)]
pub(super) struct Container<'a> {
    /// Width of the canvas in pixels.
    pub(super) width: u32,
    /// Height of the canvas in pixels.
    pub(super) height: u32,
    /// Whether alpha is used.
    pub(super) has_alpha: bool,
    /// The metadata that may contain an orientation.
    pub(super) metadata: Metadata<'a>,
    /// The frames in display order; one for a still image.
    pub(super) frames: Vec<Frame<'a>>,
}

/// Whether the header declares an animation.
pub(super) fn is_animated(bytes: &[u8]) -> bool {
    bytes.get(RIFF..RIFF + 4) == Some(b"VP8X") && bytes.get(RIFF + HEADER).is_some_and(|flags| flags & ANIMATION != 0)
}

/// The end of the last complete chunk of a truncated file; `None` if the file is complete.
pub(super) fn truncated_end(bytes: &[u8]) -> Option<usize> {
    if declared_end(bytes)? <= bytes.len() {
        return None;
    }
    let mut rest = bytes.get(RIFF..)?;
    while let Ok((_, after)) = Chunk::split(rest) {
        rest = after;
    }
    Some(bytes.len() - rest.len())
}

/// The end of the file according to its header.
fn declared_end(bytes: &[u8]) -> Option<usize> {
    let &[b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P', ..] = bytes else { return None };
    let size = u32::from_le_bytes([a, b, c, d]);
    if size > MAX_DATA { None } else { usize::try_from(size).ok()?.checked_add(HEADER) }
}

impl<'a> Container<'a> {
    /// Parses a complete file; the error is a message.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let end = declared_end(bytes).ok_or("its RIFF header is invalid")?;
        // Data after the declared end is ignored.
        let container = Self::open_until(bytes, end)?;
        if container.frames.is_empty() { Err("it has no frames".into()) } else { Ok(container) }
    }

    /// Parses a file up to `end`; there may be no frames. The error is a message.
    pub(super) fn open_until(bytes: &'a [u8], end: usize) -> Result<Self, String> {
        Self::read(bytes.get(RIFF..end).ok_or("it is truncated")?)
    }

    fn read(chunks: &'a [u8]) -> Result<Self, String> {
        let (first, rest) = Chunk::split(chunks)?;
        match &first.kind {
            b"VP8 " | b"VP8L" => {
                let ImageChunks { image, .. } = ImageChunks::read(chunks)?;
                let image = image.ok_or("it has no frames")?;
                let Header { width, height, has_alpha } = Header::read(&image)?;
                let frame = still(image, None, width, height);
                let frames = vec![Frame { has_alpha, ..frame }];
                Ok(Self { width, height, has_alpha, metadata: Metadata::default(), frames })
            }
            b"VP8X" => Extended::open(&first)?.read(rest),
            kind => Err(format!("it starts with a chunk {}", kind.escape_ascii())),
        }
    }
}

/// The frame of a still image.
fn still<'a>(image: Chunk<'a>, alpha: Option<&'a [u8]>, width: u32, height: u32) -> Frame<'a> {
    let rectangle = Rectangle { width, height, ..Rectangle::default() };
    let (is_disposed, is_blended) = (false, false);
    Frame { rectangle, duration: 0, is_disposed, is_blended, has_alpha: alpha.is_some(), alpha, image }
}

/// The image chunks of a frame: at most one ALPH chunk and one bitstream.
struct ImageChunks<'a> {
    alpha: Option<&'a [u8]>,
    image: Option<Chunk<'a>>,
    is_alpha_last: bool,
    rest: &'a [u8],
}

impl<'a> ImageChunks<'a> {
    /// Parses leading image chunks. The chunk after them must have a complete header; the error is a message.
    fn read(chunks: &'a [u8]) -> Result<Self, String> {
        let mut found = Self { alpha: None, image: None, is_alpha_last: false, rest: chunks };
        loop {
            let (chunk, rest) = Chunk::split(found.rest)?;
            match &chunk.kind {
                b"ALPH" if found.alpha.is_none() => {
                    found.is_alpha_last = found.image.is_some();
                    found.alpha = Some(chunk.data());
                }
                b"VP8L" if found.alpha.is_some() => return Err("it has two kinds of alpha data".into()),
                b"VP8 " | b"VP8L" if found.image.is_none() => {
                    Header::read(&chunk)?;
                    found.image = Some(chunk);
                }
                _ => return Ok(found),
            }
            found.rest = rest;
            if rest.is_empty() {
                return Ok(found);
            }
        }
    }
}

/// Parser state for a file in the extended format.
struct Extended<'a> {
    flags: u8,
    width: u32,
    height: u32,
    has_animation_chunk: bool,
    metadata: Metadata<'a>,
    frames: Vec<Frame<'a>>,
}

impl<'a> Extended<'a> {
    /// Parses the VP8X chunk; the error is a message.
    fn open(chunk: &Chunk<'a>) -> Result<Self, String> {
        let &[flags, _, _, _, a, b, c, d, e, f] = chunk.data() else { return Err("its chunk VP8X is invalid".into()) };
        let (width, height) = (u24([a, b, c]) + 1, u24([d, e, f]) + 1);
        if flags & !(ANIMATION | XMP | EXIF | ALPHA | ICC) != 0 {
            return Err("its chunk VP8X has unknown flags".into());
        }
        check_area(width, height)?;
        let (metadata, frames) = (Metadata::default(), Vec::new());
        Ok(Self { flags, width, height, has_animation_chunk: false, metadata, frames })
    }

    fn is_animated(&self) -> bool {
        self.flags & ANIMATION != 0
    }

    /// Parses the other chunks; the error is a message.
    fn read(mut self, mut rest: &'a [u8]) -> Result<Container<'a>, String> {
        while !rest.is_empty() {
            rest = self.chunk(rest)?;
        }
        // In a still image, the bitstream determines whether alpha is used.
        let of_image = self.frames.first().is_some_and(|frame| frame.has_alpha);
        let has_alpha = if self.is_animated() { self.flags & ALPHA != 0 } else { of_image };
        let Self { width, height, metadata, frames, .. } = self;
        Ok(Container { width, height, has_alpha, metadata, frames })
    }

    /// Parses a chunk and returns the rest; the error is a message.
    fn chunk(&mut self, chunks: &'a [u8]) -> Result<&'a [u8], String> {
        let (chunk, rest) = Chunk::split(chunks)?;
        match &chunk.kind {
            b"VP8X" => return Err("it has two chunks VP8X".into()),
            b"ALPH" | b"VP8 " | b"VP8L" => return self.still(chunks),
            b"ANIM" if chunk.padded.len() < 6 => return Err("its chunk ANIM is too short".into()),
            b"ANIM" => self.has_animation_chunk = true,
            b"ANMF" if !self.has_animation_chunk => return Err("it has a frame before the chunk ANIM".into()),
            b"ANMF" => return self.frame(&chunk, &chunks[HEADER..]),
            b"EXIF" if self.flags & EXIF != 0 && self.metadata.exif.is_none() => {
                self.metadata.exif = Some(Cow::Borrowed(chunk.data()));
            }
            b"XMP " if self.flags & XMP != 0 && self.metadata.xmp.is_none() => {
                self.metadata.xmp = Some(Cow::Borrowed(chunk.data()));
            }
            _ => {}
        }
        Ok(rest)
    }

    /// Parses the image of a still file and returns the rest; the error is a message.
    fn still(&mut self, chunks: &'a [u8]) -> Result<&'a [u8], String> {
        if self.has_animation_chunk || self.is_animated() {
            return Err("it has an image beside the frames of an animation".into());
        }
        let found = ImageChunks::read(chunks)?;
        // Without the flag, alpha is ignored.
        let alpha = found.alpha.filter(|_| self.flags & ALPHA != 0);
        let image = found.image.filter(|_| self.frames.is_empty()).ok_or("it does not have exactly one image")?;
        let Header { width, height, has_alpha } = Header::read(&image)?;
        if (width, height) != (self.width, self.height) {
            return Err("the sizes of its image and canvas differ".into());
        }
        if alpha.is_some() && found.is_alpha_last {
            return Err("its alpha data follows the image".into());
        }
        let frame = still(image, alpha, width, height);
        self.frames.push(Frame { has_alpha: frame.has_alpha || has_alpha, ..frame });
        Ok(found.rest)
    }

    /// Parses a frame of an animation and returns the rest; the error is a message. `rest` starts at the chunk's data.
    /// As in libwebp, bytes after the bitstream within the chunk are parsed as chunks of the file.
    fn frame(&mut self, chunk: &Chunk<'a>, rest: &'a [u8]) -> Result<&'a [u8], String> {
        let Some((&[x0, x1, x2, y0, y1, y2, w0, w1, w2, h0, h1, h2, t0, t1, t2, bits], images)) =
            rest.split_first_chunk()
        else {
            return Err("it ends within a frame".into());
        };
        let Some(size) = chunk.padded.len().checked_sub(16) else { return Err("a frame's chunk is too short".into()) };
        check_area(u24([w0, w1, w2]) + 1, u24([h0, h1, h2]) + 1)?;
        let found = ImageChunks::read(images)?;
        if images.len() - found.rest.len() > size {
            return Err("a frame is longer than its chunk".into());
        }
        if !self.is_animated() || found.alpha.is_none() && found.image.is_none() {
            return Ok(found.rest);
        }
        let image = found.image.ok_or("a frame has alpha data, but no image")?;
        if found.is_alpha_last {
            return Err("a frame's alpha data follows its image".into());
        }
        // The size in the frame's header is ignored.
        let Header { width, height, has_alpha } = Header::read(&image)?;
        let rectangle = Rectangle { x: 2 * u24([x0, x1, x2]), y: 2 * u24([y0, y1, y2]), width, height };
        if !rectangle.is_within(self.width, self.height) {
            return Err("a frame is not within the canvas".into());
        }
        self.frames.push(Frame {
            rectangle,
            duration: u24([t0, t1, t2]),
            is_disposed: bits & 1 != 0,
            is_blended: bits & 2 == 0,
            has_alpha: has_alpha || found.alpha.is_some(),
            alpha: found.alpha,
            image,
        });
        Ok(found.rest)
    }
}

/// Checks that the number of pixels fits in 32 bits; the error is a message.
fn check_area(width: u32, height: u32) -> Result<(), String> {
    match width.checked_mul(height) {
        Some(_) => Ok(()),
        None => Err(format!("{width} x {height} pixels are more than WebP files can have")),
    }
}
