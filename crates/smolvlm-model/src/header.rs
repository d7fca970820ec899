//! The header of one safetensors file, read with suspicion.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::error::Error;

/// Longest header that is read, in bytes. The header of the largest SmolVLM takes 80 kB; a header is held in memory
/// several times over while it is parsed, so its size must not be left to the file.
const MAX_HEADER: u64 = 16 << 20;

/// Bytes of the header length that a file starts with.
const LENGTH: usize = 8;

/// Where one tensor lies.
#[derive(Debug, Clone)]
pub(crate) struct StoredTensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Its bytes, counted from the start of the file; inside the file.
    pub(crate) range: Range<usize>,
}

/// Names and places of the tensors of a safetensors file; `path` is for errors.
///
/// Everything later code relies on is checked here: the offsets lie inside the file, cover it without gap or overlap
/// and agree with type and shape, and no name stands twice.
///
/// # Errors
///
/// [`Error::Safetensors`] for a file that is cut short or wrong in any of these ways, [`Error::DuplicateTensor`] for a
/// repeated name.
pub(crate) fn read_header(bytes: &[u8], path: &Path) -> Result<Vec<(String, StoredTensor)>, Error> {
    let invalid = |message: String| Error::Safetensors { path: path.to_owned(), message };
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(invalid("it is a git-lfs pointer; fetch the file itself with `git lfs pull`".to_owned()));
    }
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Err(invalid(format!("it holds {} bytes, too few for a header", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(invalid(format!("its header claims {length} bytes, at most {MAX_HEADER} are read")));
    }
    let Some(header) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        return Err(invalid(format!(
            "its header claims {length} bytes, the file holds {} after the length; is it cut short?",
            rest.len()
        )));
    };
    check_names(header, path)?;
    let (length, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| {
        let hint = match error {
            safetensors::SafeTensorError::MetadataIncompleteBuffer => "; is the file cut short?",
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
            let tensor = StoredTensor { dtype: info.dtype, shape: info.shape.clone(), range: start + from..start + to };
            (name, tensor)
        })
        .collect())
}

/// Refuses a header that names a tensor twice; a map keeps the last one without a word.
fn check_names(header: &[u8], path: &Path) -> Result<(), Error> {
    let mut names = Names { repeated: None };
    let parsed = serde_json::Deserializer::from_slice(header).deserialize_map(&mut names);
    if let Some(name) = names.repeated {
        return Err(Error::DuplicateTensor { path: path.to_owned(), name: readable(&name) });
    }
    parsed.map_err(|error| Error::Safetensors {
        path: path.to_owned(),
        message: format!("its header is not JSON: {}", readable(&error.to_string())),
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
                // The rest is of no interest, but a deserializer wants to be read to its end.
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(());
            }
            seen.insert(name);
        }
        Ok(())
    }
}

/// Longest text from a file that a message repeats, in characters.
const READABLE: usize = 160;

/// A text from a file in a form that fits a one-line message: control characters escaped, the end cut off.
pub(crate) fn readable(text: &str) -> String {
    let mut cut: String = text.chars().take(READABLE).flat_map(char::escape_debug).collect();
    if text.chars().nth(READABLE).is_some() {
        cut.push_str("...");
    }
    cut
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
        assert_eq!((name.as_str(), b.dtype), ("b", Dtype::BF16));
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
    fn lies_are_errors() {
        let tensor = |info: &str| file(&format!(r#"{{"a":{info}}}"#), &[0; 8]);
        for (info, says) in [
            (r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#, "invalid shape"),
            (r#"{"dtype":"F32","shape":[2],"data_offsets":[0,16]}"#, "invalid shape"),
            (r#"{"dtype":"F32","shape":[4],"data_offsets":[0,16]}"#, "cut short"),
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
    fn a_huge_header_is_refused_before_it_is_read() {
        for length in [MAX_HEADER + 1, u64::MAX] {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend([b' '; 64]);
            assert!(message(&bytes).contains("at most"));
        }
    }

    #[test]
    fn a_repeated_name_is_an_error() {
        let a = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
        let bytes = file(&format!("{{{a},{a}}}"), &[0; 8]);
        let error = read_header(&bytes, Path::new("f")).unwrap_err();
        assert!(matches!(error, Error::DuplicateTensor { name, .. } if name == "a"));
    }

    #[test]
    fn other_files_are_named() {
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
        assert!(text.chars().count() < READABLE + 20);
        assert!(!text.contains('\n'));
    }
}
