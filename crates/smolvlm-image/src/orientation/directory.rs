//! Directories of TIFF structure (TIFF 6.0 section 2, BigTIFF), in TIFF files and in EXIF data.

use std::collections::BTreeMap;

/// The header of a TIFF structure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// Whether numbers are big-endian.
    pub(crate) big_endian: bool,
    /// Whether counts and offsets have 64 bits.
    pub(crate) big_tiff: bool,
    /// Offset of the first directory.
    pub(crate) first: u64,
}

impl Header {
    /// Parses a header; `None` if there is none. As in Pillow, the byte order of the magic number may be wrong.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (big_endian, big_tiff) = match bytes.get(..4)? {
            b"II\x2a\0" | b"II\0\x2a" => (false, false),
            b"MM\0\x2a" | b"MM\x2a\0" => (true, false),
            b"II\x2b\0" => (false, true),
            b"MM\0\x2b" => (true, true),
            _ => return None,
        };
        let header = Self { big_endian, big_tiff, first: 0 };
        let first = if big_tiff { header.number(bytes.get(8..16)?) } else { header.number(bytes.get(4..8)?) };
        Some(Self { first, ..header })
    }

    /// A number of up to 8 bytes in this byte order.
    pub(crate) fn number(self, bytes: &[u8]) -> u64 {
        let step = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        if self.big_endian { bytes.iter().fold(0, step) } else { bytes.iter().rev().fold(0, step) }
    }
}

/// A directory entry: its type and raw bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    kind: u64,
    /// The bytes as stored.
    pub(crate) data: &'a [u8],
}

/// The fields of one directory.
#[derive(Debug)]
pub(crate) struct Directory<'a> {
    header: Header,
    fields: BTreeMap<u16, Field<'a>>,
}

impl<'a> Directory<'a> {
    /// Reads the directory at an offset. As in Pillow, entries before the first damage are kept, the first entry of a
    /// repeated tag is used, and unknown types are skipped, as are entries that exceed the file size in total.
    pub(crate) fn read(bytes: &'a [u8], header: Header, offset: u64) -> Self {
        let mut fields = BTreeMap::new();
        // Stops at the end of the bytes, whatever the count is.
        let _: Option<()> = (|| {
            let (count_size, entry_size, value_at) = if header.big_tiff { (8, 20, 12) } else { (2, 12, 8) };
            let mut rest = bytes.get(usize::try_from(offset).ok()?..)?;
            let count = header.number(rest.split_off(..count_size)?);
            let mut far = 0u64;
            for _ in 0..count {
                let entry = rest.split_off(..entry_size)?;
                let (head, value) = entry.split_at(value_at);
                let tag = header.number(&head[..2]) as u16;
                let kind = header.number(&head[2..4]);
                let Some(size) = size_of(kind).and_then(|size| header.number(&head[4..]).checked_mul(size)) else {
                    continue;
                };
                if size == 0 || fields.contains_key(&tag) {
                    continue;
                }
                let data = if size <= value.len() as u64 {
                    &value[..size as usize]
                } else {
                    far = far.saturating_add(size);
                    if far > bytes.len() as u64 {
                        continue;
                    }
                    let start = usize::try_from(header.number(value)).ok()?;
                    bytes.get(start..start.checked_add(size as usize)?)?
                };
                fields.insert(tag, Field { kind, data });
            }
            Some(())
        })();
        Self { header, fields }
    }

    /// A field as stored.
    pub(crate) fn field(&self, tag: u16) -> Option<Field<'a>> {
        self.fields.get(&tag).copied()
    }

    /// The unsigned integers of a field; `None` if it is missing or of another type.
    pub(crate) fn unsigned(&self, tag: u16) -> Option<Vec<u64>> {
        let field = self.field(tag).filter(|field| matches!(field.kind, 3 | 4 | 13 | 16))?;
        let size = size_of(field.kind)? as usize;
        Some(field.data.chunks_exact(size).map(|bytes| self.header.number(bytes)).collect())
    }

    /// The fractions of a field; `None` if it is missing or of another type.
    pub(crate) fn rationals(&self, tag: u16) -> Option<Vec<f32>> {
        let field = self.field(tag).filter(|field| field.kind == 5)?;
        let part = |bytes: &[u8]| self.header.number(bytes) as f64;
        Some(field.data.chunks_exact(8).map(|bytes| (part(&bytes[..4]) / part(&bytes[4..])) as f32).collect())
    }

    /// The first number of a field, whatever its numeric type; `None` if it is missing, bytes or text.
    pub(crate) fn first_number(&self, tag: u16) -> Option<f64> {
        let Field { kind, data } = self.field(tag)?;
        let size = size_of(kind)? as usize;
        let bits = self.header.number(data.get(..size)?);
        let halves = data.get(..size)?.split_at(size / 2);
        let halves = (self.header.number(halves.0), self.header.number(halves.1));
        Some(match kind {
            3 | 4 | 13 | 16 => bits as f64,
            5 => halves.0 as f64 / halves.1 as f64,
            6 => f64::from(bits as i8),
            8 => f64::from(bits as i16),
            9 => f64::from(bits as i32),
            10 => f64::from(halves.0 as i32) / f64::from(halves.1 as i32),
            11 => f64::from(f32::from_bits(bits as u32)),
            12 => f64::from_bits(bits),
            _ => return None,
        })
    }
}

/// Size in bytes of one value of a type (TIFF 6.0, and LONG8 of BigTIFF). Pillow knows no other types.
fn size_of(kind: u64) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 => Some(8),
        _ => None,
    }
}
