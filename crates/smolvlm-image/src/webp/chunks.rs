//! RIFF chunks.

/// Maximum size of a chunk's data in libwebp: with header and padding, it still fits in 32 bits.
pub(super) const MAX_DATA: u32 = u32::MAX - 9;

/// Size of a chunk's header in bytes: the type and the size of the data.
pub(super) const HEADER: usize = 8;

/// A chunk. Data of odd size is followed by a byte of padding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk<'a> {
    /// The type.
    pub(super) kind: [u8; 4],
    /// The data including the padding.
    pub(super) padded: &'a [u8],
    /// Size of the data in bytes, without the padding.
    pub(super) size: usize,
}

impl<'a> Chunk<'a> {
    /// Splits off the first chunk. Returns it and the bytes after it; the error is a message.
    pub(super) fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), String> {
        let (&kind, after) = bytes.split_first_chunk().ok_or("it ends within a chunk's header")?;
        let (&size, after) = after.split_first_chunk().ok_or("it ends within a chunk's header")?;
        let size = u32::from_le_bytes(size);
        let too_long = || format!("its chunk {} is longer than the file", kind.escape_ascii());
        if size > MAX_DATA {
            return Err(too_long());
        }
        let size = size as usize;
        let (padded, rest) = after.split_at_checked(size + size % 2).ok_or_else(too_long)?;
        Ok((Self { kind, padded, size }, rest))
    }

    /// The data without the padding.
    pub(super) fn data(&self) -> &'a [u8] {
        &self.padded[..self.size]
    }
}

/// A little-endian 24-bit integer.
pub(super) fn u24(bytes: [u8; 3]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

#[cfg(test)]
mod tests {
    use super::{Chunk, MAX_DATA, u24};

    #[test]
    fn odd_sizes_are_padded() {
        let (chunk, rest) = Chunk::split(b"abcd\x03\0\0\0xyz\0rest").unwrap();
        assert_eq!(
            (chunk.kind, chunk.data(), chunk.padded, rest),
            (*b"abcd", &b"xyz"[..], &b"xyz\0"[..], &b"rest"[..])
        );
        assert!(Chunk::split(b"abcd\x03\0\0\0xyz").is_err());
        assert!(Chunk::split(b"abcd\0\0\0").is_err());
        let huge = [&b"abcd"[..], &(MAX_DATA + 1).to_le_bytes(), &[0; 8]].concat();
        assert!(Chunk::split(&huge).is_err());
        assert_eq!(u24([1, 2, 3]), 0x03_02_01);
    }
}
