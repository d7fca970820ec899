//! The header of a GGUF file, validated defensively.
//!
//! Layout: magic, version, number of tensors and of metadata entries; the entries (key, type, value); the tensors
//! (name, dimensions, type, offset); padding; the data of the tensors. Dimensions are stored innermost first.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::GGUF_MAGIC;
use super::cursor::Cursor;
use super::ggml_type::GgmlType;
use super::value::Value;
use crate::header::{readable, reject_lfs_pointer};

/// Maximum size of everything before the data. The largest vocabularies of Llama models take 8 MB.
const MAX_HEADER: usize = 16 << 20;

/// Maximum number of tensors, and of metadata entries; files of the largest models have 2,000.
const MAX_ENTRIES: u64 = 1 << 13;

/// Maximum length of a key, as in llama.cpp; and of a tensor's name, of which llama.cpp allows 63 bytes.
const MAX_KEY: usize = 65_535;
const MAX_NAME: usize = 255;

/// Maximum number of dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;

/// Alignment of the data without the key `general.alignment`, and its maximum.
const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_ALIGNMENT: u64 = 1 << 20;

/// Type, shape and location of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GgufTensor {
    pub(crate) ggml_type: GgmlType,
    /// Shape, outermost dimension first.
    pub(crate) shape: Vec<usize>,
    /// Byte range from the start of the file; always inside the file.
    pub(crate) range: Range<usize>,
}

/// The metadata and tensors of a file.
#[derive(Debug, Default)]
pub(crate) struct Header {
    pub(crate) metadata: BTreeMap<String, Value>,
    pub(crate) tensors: BTreeMap<String, GgufTensor>,
}

impl Header {
    /// Reads the header of a file.
    ///
    /// All assumptions of later code are checked here: values and tensors are inside the file, names are unique, rows
    /// are whole blocks, and tensors do not overlap.
    ///
    /// # Errors
    ///
    /// A message of one line for an invalid file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        reject_lfs_pointer(bytes)?;
        let mut cursor = Cursor::new(&bytes[..bytes.len().min(MAX_HEADER)]);
        let (tensors, entries) = counts(&mut cursor)?;
        let mut header = Self::default();
        for _ in 0..entries {
            let key = cursor.name(MAX_KEY).map_err(|message| format!("a metadata key {message}"))?;
            let value = Value::read(&mut cursor).map_err(|message| format!("the key {} {message}", readable(key)))?;
            if header.metadata.insert(key.to_owned(), value).is_some() {
                return Err(format!("the key {} occurs twice", readable(key)));
            }
        }
        let alignment = header.alignment()?;
        let mut infos = Vec::new();
        let mut names = HashSet::new();
        for _ in 0..tensors {
            let name = cursor.name(MAX_NAME).map_err(|message| format!("a tensor's name {message}"))?;
            let info = TensorInfo::read(&mut cursor, alignment)
                .map_err(|message| format!("tensor {} {message}", readable(name)))?;
            if !names.insert(name) {
                return Err(format!("tensor {} occurs twice", readable(name)));
            }
            infos.push((name, info));
        }
        let start = (cursor.position() as u64).next_multiple_of(alignment);
        let available = (bytes.len() as u64).saturating_sub(start);
        infos.sort_by_key(|(_, info)| info.offset);
        let mut end = 0;
        for (name, info) in infos {
            if info.offset < end {
                return Err(format!("tensor {} overlaps another one", readable(name)));
            }
            end = info.offset.checked_add(info.bytes).filter(|end| *end <= available).ok_or_else(|| {
                format!(
                    "tensor {} needs {} bytes at {} of the data, which has {available}; the file may be truncated",
                    readable(name),
                    info.bytes,
                    info.offset
                )
            })?;
            let range = (start + info.offset) as usize..(start + end) as usize;
            header.tensors.insert(name.to_owned(), GgufTensor { ggml_type: info.ggml_type, shape: info.shape, range });
        }
        Ok(header)
    }

    fn alignment(&self) -> Result<u64, String> {
        let Some(value) = self.metadata.get("general.alignment") else { return Ok(DEFAULT_ALIGNMENT) };
        let valid = |alignment: &u64| alignment.is_power_of_two() && *alignment <= MAX_ALIGNMENT;
        value
            .as_u64()
            .filter(valid)
            .ok_or_else(|| format!("the key general.alignment must be a power of two, at most {MAX_ALIGNMENT}"))
    }
}

/// Checks magic and version; returns the numbers of tensors and of metadata entries.
fn counts(cursor: &mut Cursor<'_>) -> Result<(u64, u64), String> {
    let incomplete = |message: String| format!("the header {message}");
    if cursor.u32().ok() != Some(u32::from_le_bytes(GGUF_MAGIC)) {
        return Err("it does not start with GGUF".to_owned());
    }
    match cursor.u32().map_err(incomplete)? {
        2 | 3 => {}
        version if matches!(version.swap_bytes(), 1..=3) => {
            return Err("it is big-endian; convert it to little-endian".to_owned());
        }
        version => return Err(format!("it has the version {version}; supported are 2 and 3")),
    }
    let (tensors, entries) = (cursor.u64().map_err(incomplete)?, cursor.u64().map_err(incomplete)?);
    for (what, count) in [("tensors", tensors), ("metadata entries", entries)] {
        if count > MAX_ENTRIES {
            return Err(format!("it has {count} {what}; the limit is {MAX_ENTRIES}"));
        }
    }
    Ok((tensors, entries))
}

/// The description of a tensor, with its offset in the data.
struct TensorInfo {
    ggml_type: GgmlType,
    shape: Vec<usize>,
    offset: u64,
    bytes: u64,
}

impl TensorInfo {
    fn read(cursor: &mut Cursor<'_>, alignment: u64) -> Result<Self, String> {
        let dimensions = cursor.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(format!("has {dimensions} dimensions, must have 1 to {MAX_DIMENSIONS}"));
        }
        let mut shape = Vec::with_capacity(dimensions as usize);
        for _ in 0..dimensions {
            let size = cursor.u64()?;
            let size = usize::try_from(size).ok().filter(|size| *size > 0);
            shape.push(size.ok_or("has a dimension that is zero or too large")?);
        }
        let ggml_type = GgmlType::from_number(cursor.u32()?).map_err(|name| {
            format!("has the type {name}, which is not supported; supported are {}", GgmlType::names())
        })?;
        let offset = cursor.u64()?;
        if !offset.is_multiple_of(alignment) {
            return Err(format!("starts at {offset}, which is not a multiple of {alignment}"));
        }
        if !shape[0].is_multiple_of(ggml_type.block()) {
            let name = ggml_type.name();
            return Err(format!("has rows of {} values, not a multiple of {name}'s {}", shape[0], ggml_type.block()));
        }
        let rows = shape[1..].iter().try_fold(1_usize, |rows, size| rows.checked_mul(*size));
        // A block of 4 bytes or more per value cannot overflow after this.
        let fits = |rows: &usize| rows.checked_mul(shape[0]).and_then(|values| values.checked_mul(4)).is_some();
        let rows = rows.filter(fits).ok_or("has more values than a file can hold")?;
        let bytes = (rows * ggml_type.row_bytes(shape[0])) as u64;
        shape.reverse();
        Ok(Self { ggml_type, shape, offset, bytes })
    }
}

#[cfg(test)]
mod tests;
