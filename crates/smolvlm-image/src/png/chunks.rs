//! PNG chunks and their metadata.

use crate::orientation::Metadata;
use flate2::Crc;
use flate2::read::ZlibDecoder;
use std::borrow::Cow;
use std::io::Read;

pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Maximum size of a decompressed text in bytes, as Pillow's `MAX_TEXT_CHUNK`.
const MAX_TEXT: u64 = 1 << 20;

/// A chunk: its type and data.
pub(super) struct Chunk<'a> {
    pub(super) kind: [u8; 4],
    pub(super) data: &'a [u8],
}

/// The remaining chunks.
pub(super) struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(SIGNATURE.len()..).unwrap_or_default() }
    }

    /// The next chunk, without its checksum; `None` at the end of the file. Pixel data may be truncated, other data may
    /// not.
    pub(super) fn next(&mut self) -> Result<Option<Chunk<'a>>, String> {
        let Some((&[a, b, c, d, ref kind @ ..], rest)) = self.rest.split_first_chunk::<8>() else { return Ok(None) };
        if !kind.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err("a chunk has no valid type".into());
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        // Of the last chunk, the reference reads no more than the type.
        if length > rest.len() && kind != b"IDAT" && kind != b"IEND" {
            return Err("the file is truncated".into());
        }
        let (data, rest) = rest.split_at(length.min(rest.len()));
        self.rest = rest;
        Ok(Some(Chunk { kind: *kind, data }))
    }

    /// Verifies and skips the checksum of the last chunk.
    pub(super) fn verify(&mut self, chunk: &Chunk<'_>) -> Result<(), String> {
        let (stored, rest) = self.rest.split_first_chunk().ok_or("the file is truncated")?;
        let mut crc = Crc::new();
        crc.update(&chunk.kind);
        crc.update(chunk.data);
        if crc.sum() != u32::from_be_bytes(*stored) {
            return Err(format!("the checksum of chunk {} is wrong", String::from_utf8_lossy(&chunk.kind)));
        }
        self.rest = rest;
        Ok(())
    }

    /// Skips the checksum of the last chunk and reads the next one. As in Pillow, an invalid chunk type ends the file.
    pub(super) fn next_unverified(&mut self) -> Result<Option<Chunk<'a>>, String> {
        self.rest = self.rest.get(4..).unwrap_or_default();
        match self.rest.get(4..8) {
            Some(kind) if kind.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') => self.next(),
            _ => Ok(None),
        }
    }
}

/// The chunks that may contain an orientation; the last one of each kind is used.
#[derive(Default)]
pub(super) struct MetadataChunks<'a> {
    exif: Option<&'a [u8]>,
    raw_profile: Option<Text<'a>>,
    xmp: Option<Text<'a>>,
}

/// A text as stored.
struct Text<'a> {
    compressed: bool,
    data: &'a [u8],
}

impl<'a> MetadataChunks<'a> {
    /// Records a chunk. Texts stay compressed, so that only the last one has to be decompressed.
    pub(super) fn add(&mut self, chunk: &Chunk<'a>) {
        if &chunk.kind == b"eXIf" {
            self.exif = Some(chunk.data);
            return;
        }
        let Some((key, value)) = split(chunk.data) else { return };
        let text = match &chunk.kind {
            b"tEXt" => Some(Text { compressed: false, data: value }),
            b"zTXt" if value.first() == Some(&0) => Some(Text { compressed: true, data: &value[1..] }),
            b"iTXt" => international(value),
            _ => None,
        };
        let Some(text) = text else { return };
        match key {
            b"exif" if !text.compressed => self.exif = Some(text.data),
            b"Raw profile type exif" => self.raw_profile = Some(text),
            b"XML:com.adobe.xmp" => self.xmp = Some(text),
            _ => {}
        }
    }

    /// The recorded metadata.
    pub(super) fn metadata(self) -> Metadata<'a> {
        Metadata {
            exif: self.exif.map(Cow::Borrowed),
            raw_profile: self.raw_profile.and_then(Text::read),
            xmp: self.xmp.and_then(Text::read),
        }
    }
}

impl<'a> Text<'a> {
    /// The text; `None` if it is damaged or too long.
    fn read(self) -> Option<Cow<'a, [u8]>> {
        if !self.compressed {
            return Some(Cow::Borrowed(self.data));
        }
        let mut text = Vec::new();
        let length = ZlibDecoder::new(self.data).take(MAX_TEXT + 1).read_to_end(&mut text).ok()?;
        (length as u64 <= MAX_TEXT).then_some(Cow::Owned(text))
    }
}

/// The text of an iTXt chunk after its keyword, which is preceded by two flags, a language and a translated keyword.
fn international(value: &[u8]) -> Option<Text<'_>> {
    let (&[compressed, method], rest) = value.split_first_chunk()?;
    let (_, rest) = split(rest)?;
    let (_, data) = split(rest)?;
    (compressed == 0 || method == 0).then_some(Text { compressed: compressed != 0, data })
}

/// Splits at the first zero byte.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.iter().position(|&byte| byte == 0)?;
    Some((&data[..at], &data[at + 1..]))
}
