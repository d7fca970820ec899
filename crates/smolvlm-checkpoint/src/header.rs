//! The header of a safetensors file, validated defensively.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::error::Error;
use crate::gguf::{GgmlType, RowOrder};
use crate::values::float_type;
use smolvlm_config::FloatType;

/// Maximum size of the header in bytes. The header of the largest SmolVLM takes 80 kB; parsing holds several copies of
/// a header in memory, so its size must be limited.
const MAX_HEADER: u64 = 16 << 20;

/// Size in bytes of the length field at the start of the file.
const LENGTH: usize = 8;

/// Type, shape and location of a stored tensor.
#[derive(Debug, Clone)]
pub(crate) struct StoredTensor {
    pub(crate) dtype: StoredType,
    pub(crate) shape: Vec<usize>,
    /// Byte range from the start of the file; always inside the file.
    pub(crate) range: Range<usize>,
}

impl StoredTensor {
    /// The type of the values if they are plain floats.
    pub(crate) fn float_type(&self) -> Option<FloatType> {
        self.dtype.plain().and_then(float_type)
    }
}

/// Type and order of a stored tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredType {
    /// A type of safetensors.
    Plain(Dtype),
    /// A type of GGUF, and the order of the rows.
    Ggml(GgmlType, RowOrder),
}

impl StoredType {
    /// The type of safetensors, if it is one.
    pub(crate) fn plain(self) -> Option<Dtype> {
        match self {
            Self::Plain(dtype) => Some(dtype),
            Self::Ggml(..) => None,
        }
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(dtype) => write!(f, "{dtype:?}"),
            Self::Ggml(ggml_type, _) => f.write_str(ggml_type.name()),
        }
    }
}

/// Reads the names and locations of the tensors of a safetensors file; `path` is for error messages.
///
/// All assumptions of later code are checked here: the offsets are inside the file, cover it without gap or overlap and
/// match type and shape, and names are unique.
///
/// # Errors
///
/// [`Error::Safetensors`] for a file that is truncated or invalid in any of these ways, [`Error::DuplicateTensor`] for
/// a repeated name.
pub(crate) fn read_header(bytes: &[u8], path: &Path) -> Result<Vec<(String, StoredTensor)>, Error> {
    let invalid = |message: String| Error::Safetensors { path: path.to_owned(), message };
    reject_lfs_pointer(bytes).map_err(invalid)?;
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Err(invalid(format!("{} bytes are too few for a header", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(invalid(format!("the header length is {length} bytes; the limit is {MAX_HEADER}")));
    }
    let Some(header) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        return Err(invalid(format!(
            "the header length is {length} bytes, but only {} follow; the file may be truncated",
            rest.len()
        )));
    };
    check_names(header, path)?;
    let (length, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| {
        let hint = match error {
            safetensors::SafeTensorError::MetadataIncompleteBuffer => "; the file may be truncated",
            _ => "",
        };
        invalid(format!("{}{hint}", readable(&error.to_string())))
    })?;
    let start = LENGTH + length;
    Ok(metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let (from, to) = info.data_offsets;
            let dtype = StoredType::Plain(info.dtype);
            let tensor = StoredTensor { dtype, shape: info.shape.clone(), range: start + from..start + to };
            (name, tensor)
        })
        .collect())
}

/// Rejects a pointer that git-lfs leaves in place of a file; the message says how to fetch the file.
pub(crate) fn reject_lfs_pointer(bytes: &[u8]) -> Result<(), String> {
    if bytes.starts_with(b"version https://git-lfs") {
        return Err("it is a git-lfs pointer; fetch the file itself with `git lfs pull`".to_owned());
    }
    Ok(())
}

/// Checks that no tensor name occurs twice; a parsed map would silently keep the last one.
fn check_names(header: &[u8], path: &Path) -> Result<(), Error> {
    let mut names = Names { repeated: None };
    let parsed = serde_json::Deserializer::from_slice(header).deserialize_map(&mut names);
    if let Some(name) = names.repeated {
        return Err(Error::DuplicateTensor { path: path.to_owned(), name: readable(&name) });
    }
    parsed.map_err(|error| Error::Safetensors {
        path: path.to_owned(),
        message: format!("the header is not JSON: {}", readable(&error.to_string())),
    })
}

struct Names {
    repeated: Option<String>,
}

impl<'de> Visitor<'de> for &mut Names {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            if seen.contains(&name) {
                self.repeated = Some(name);
                // The deserializer requires that the map is read to its end.
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(());
            }
            seen.insert(name);
        }
        Ok(())
    }
}

/// Maximum number of characters of a file's text that a message quotes.
const MAX_QUOTED: usize = 160;

/// Prepares text from a file for a one-line message: escapes control characters and truncates it.
pub(crate) fn readable(text: &str) -> String {
    let mut quoted: String = text.chars().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        quoted.push_str("...");
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn message(bytes: &[u8]) -> String {
        read_header(bytes, Path::new("f")).unwrap_err().to_string()
    }

    const TWO: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[1,3],"data_offsets":[8,14]}}"#;

    #[test]
    fn finds_tensors() {
        let bytes = file(TWO, &[7; 14]);
        let mut tensors = read_header(&bytes, Path::new("f")).unwrap();
        tensors.sort_by(|left, right| left.0.cmp(&right.0));
        let (name, b) = &tensors[1];
        assert_eq!((name.as_str(), b.dtype), ("b", StoredType::Plain(Dtype::BF16)));
        assert_eq!(b.shape, [1, 3]);
        assert_eq!(b.range, bytes.len() - 6..bytes.len());
        assert_eq!(tensors.len(), 2);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = file(TWO, &[7; 14]);
        for length in 0..bytes.len() {
            read_header(&bytes[..length], Path::new("f")).unwrap_err();
        }
        let mut longer = bytes;
        longer.push(0);
        read_header(&longer, Path::new("f")).unwrap_err();
    }

    #[test]
    fn inconsistent_tensor_entries_are_errors() {
        let tensor = |info: &str| file(&format!(r#"{{"a":{info}}}"#), &[0; 8]);
        for (info, says) in [
            (r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#, "invalid shape"),
            (r#"{"dtype":"F32","shape":[2],"data_offsets":[0,16]}"#, "invalid shape"),
            (r#"{"dtype":"F32","shape":[4],"data_offsets":[0,16]}"#, "truncated"),
            (r#"{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#, "offset"),
            (r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, "offset"),
            (r#"{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}"#, "overflow"),
            (r#"{"dtype":"F33","shape":[2],"data_offsets":[0,8]}"#, "F33"),
            (r#"{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}"#, "invalid value"),
            (r#"{"dtype":"F32","shape":[2]}"#, "data_offsets"),
        ] {
            let message = message(&tensor(info));
            assert!(message.contains(says), "{info}: {message}");
        }
        // Two tensors over the same bytes.
        let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(message(&file(overlap, &[0; 8])).contains("offset"));
    }

    #[test]
    fn oversized_header_is_an_error_before_it_is_read() {
        for length in [MAX_HEADER + 1, u64::MAX] {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend([b' '; 64]);
            assert!(message(&bytes).contains("limit"));
        }
    }

    #[test]
    fn repeated_name_is_an_error() {
        let a = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
        let bytes = file(&format!("{{{a},{a}}}"), &[0; 8]);
        let error = read_header(&bytes, Path::new("f")).unwrap_err();
        assert!(matches!(error, Error::DuplicateTensor { name, .. } if name == "a"));
    }

    #[test]
    fn other_file_formats_have_specific_errors() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
        assert!(message(pointer).contains("git lfs pull"));
        assert!(message(&file("[1,2]", &[])).contains("not JSON"));
        assert!(message(&file("{}x", &[])).contains("trailing"));
    }

    #[test]
    fn messages_stay_on_one_line() {
        let name = format!("a\n\u{1b}[31m{}", "x".repeat(1000));
        let text = readable(&name);
        assert!(text.starts_with(r"a\n\u{1b}[31m"));
        assert!(text.chars().count() < MAX_QUOTED + 20);
        assert!(!text.contains('\n'));
    }
}
