//! Reading of little-endian values within bounds.

use std::ops::Range;

/// A position in the header of a file. Errors continue a sentence about what is read.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Number of bytes after the position.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The next `count` bytes, as a range from the start.
    pub(super) fn skip(&mut self, count: u64) -> Result<Range<usize>, String> {
        let end = usize::try_from(count).ok().and_then(|count| self.position.checked_add(count));
        let end = end.filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| {
            format!("is not complete within the first {} bytes; the file may be truncated", self.bytes.len())
        })?;
        let range = self.position..end;
        self.position = end;
        Ok(range)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let range = self.skip(N as u64)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[range]);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    /// A string: its length in 8 bytes, then its bytes.
    pub(super) fn string(&mut self) -> Result<Range<usize>, String> {
        let length = self.u64()?;
        self.skip(length)
    }

    /// A string of at most `limit` bytes of UTF-8 that names something.
    pub(super) fn name(&mut self, limit: usize) -> Result<&'a str, String> {
        let range = self.string()?;
        let bytes = &self.bytes[range];
        if bytes.len() > limit {
            return Err(format!("has {} bytes, the limit is {limit}", bytes.len()));
        }
        std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", super::lossy(bytes)))
    }
}
