//! Headers of the bitstreams VP8 (lossy, RFC 6386) and VP8L (lossless), with the checks of libwebp.

use super::chunks::Chunk;

/// The header of a bitstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels.
    pub(super) height: u32,
    /// Whether pixels may be transparent, according to the header.
    pub(super) has_alpha: bool,
}

impl Header {
    /// Reads the header of a chunk `VP8 ` or `VP8L`; the error is a message.
    pub(super) fn read(chunk: &Chunk<'_>) -> Result<Self, String> {
        let lossless = &chunk.kind == b"VP8L";
        let header = if lossless { Self::lossless(chunk) } else { Self::lossy(chunk) };
        header.ok_or_else(|| format!("the header of its {} data is invalid", if lossless { "VP8L" } else { "VP8" }))
    }

    fn lossy(chunk: &Chunk<'_>) -> Option<Self> {
        let &[a, b, c, 0x9d, 0x01, 0x2a, width_low, width_high, height_low, height_high, ..] = chunk.padded else {
            return None;
        };
        let tag = u32::from_le_bytes([a, b, c, 0]);
        let (is_key, profile, is_shown, first_partition) = (tag & 1 == 0, tag >> 1 & 7, tag >> 4 & 1 == 1, tag >> 5);
        // The upper two bits of width and height are an upscaling factor, which decoders ignore.
        let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
        let (width, height) = (side(width_low, width_high), side(height_low, height_high));
        let fits = (first_partition as usize) < chunk.size;
        let is_valid = is_key && profile <= 3 && is_shown && fits && width > 0 && height > 0;
        is_valid.then_some(Self { width, height, has_alpha: false })
    }

    fn lossless(chunk: &Chunk<'_>) -> Option<Self> {
        // libwebp rejects chunks of fewer than 12 bytes, including their header.
        let &[0x2f, a, b, c, d, _, ..] = chunk.padded else { return None };
        let bits = u32::from_le_bytes([a, b, c, d]);
        let version = bits >> 29;
        let (width, height) = ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1);
        (version == 0).then_some(Self { width, height, has_alpha: bits >> 28 & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunk, Header};

    fn read(kind: &[u8; 4], data: &[u8]) -> Option<Header> {
        Header::read(&Chunk { kind: *kind, padded: data, size: data.len() }).ok()
    }

    #[test]
    fn invalid_lossy_headers_are_rejected() {
        let with = |first: u8, width: u16, height: u16| {
            let sides = [width.to_le_bytes(), height.to_le_bytes()].concat();
            read(b"VP8 ", &[&[first, 0, 0, 0x9d, 0x01, 0x2a][..], &sides].concat())
        };
        let expected = Header { width: 5, height: 16383, has_alpha: false };
        // A visible frame with a first partition of one byte; the upper two bits of width and height are ignored.
        assert_eq!(with(0b0011_0000, 5 | 0xc000, 16383), Some(expected));
        assert_eq!(with(0b0011_0110, 5, 16383), Some(expected), "profile 3");
        for (first, width, height) in [
            (0b0011_0001, 5, 5),
            (0b0011_1000, 5, 5),
            (0b0010_0000, 5, 5),
            (0b1111_0000, 0, 5),
            (0b0011_0000, 5, 0xc000),
        ] {
            assert_eq!(with(first, width, height), None, "{first:b} {width} {height}");
        }
        // A first partition as long as the chunk.
        let mut data = [0b0101_0000, 1, 0, 0x9d, 0x01, 0x2a, 1, 0, 1, 0];
        assert_eq!(read(b"VP8 ", &data), None);
        data[1] = 0;
        assert!(read(b"VP8 ", &data).is_some());
        data[3] = 0;
        assert_eq!(read(b"VP8 ", &data), None);
    }

    #[test]
    fn invalid_lossless_headers_are_rejected() {
        let with = |bits: u32| read(b"VP8L", &[&[0x2f][..], &bits.to_le_bytes(), &[0]].concat());
        assert_eq!(with(0x0fff_ffff), Some(Header { width: 16384, height: 16384, has_alpha: false }));
        assert_eq!(with(0x1000_0000), Some(Header { width: 1, height: 1, has_alpha: true }));
        assert_eq!(with(0x2000_0000), None, "an unknown version");
        assert_eq!(read(b"VP8L", &[0x2f, 0, 0, 0, 0]), None);
        assert_eq!(read(b"VP8L", &[0x2e, 0, 0, 0, 0, 0]), None);
    }
}
