//! The index of a sharded checkpoint.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;
use smolvlm_config::read_text;

use crate::error::Error;
use crate::header::readable;

/// Maximum size of the index in bytes; the largest SmolVLM needs 60 kB.
const MAX_INDEX: u64 = 16 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads the files that an index lists, each with the names of its tensors.
///
/// # Errors
///
/// [`Error::Io`] when the index cannot be read or is too long, [`Error::ShardIndex`] when it is invalid, empty, or
/// names a file outside its folder.
pub(crate) fn shard_files(index: &Path) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let invalid = |message: String| Error::ShardIndex { path: index.to_owned(), message };
    let text = read_text(index, MAX_INDEX).map_err(|error| Error::io(index, error))?;
    let parsed: Index = serde_json::from_str(&text)
        .map_err(|error| invalid(format!("not an index of weight files: {}", readable(&error.to_string()))))?;
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, file) in parsed.weight_map {
        if !is_inside_folder(&file) {
            return Err(invalid(format!(
                "it lists {} in {:?}, which is not a relative path inside the folder",
                readable(&tensor),
                readable(&file)
            )));
        }
        files.entry(file).or_default().push(tensor);
    }
    if files.is_empty() {
        return Err(invalid("weight_map is empty".to_owned()));
    }
    Ok(files)
}

/// Whether `file` is a path inside the folder that it is joined to, on every operating system.
fn is_inside_folder(file: &str) -> bool {
    let mut components = Path::new(file).components();
    !file.contains(['\\', ':', '\0'])
        && matches!(components.next(), Some(Component::Normal(_)))
        && components.all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.json");
        std::fs::write(&path, text).unwrap();
        shard_files(&path)
    }

    #[test]
    fn groups_tensors_by_file() {
        let files = parse(
            r#"{"metadata":{"total_size":1},"weight_map":{"b":"2.safetensors","a":"1.safetensors","c":"1.safetensors"}}"#,
        )
        .unwrap();
        assert_eq!(files["1.safetensors"], ["a", "c"]);
        assert_eq!(files["2.safetensors"], ["b"]);
    }

    #[test]
    fn skips_a_byte_order_mark() {
        let files = parse("\u{feff}{\"weight_map\":{\"a\":\"1.safetensors\"}}").unwrap();
        assert_eq!(files["1.safetensors"], ["a"]);
    }

    #[test]
    fn rejects_files_outside_the_folder() {
        for file in ["../x", "/etc/passwd", "a/../../x", "..", ".", "", "./x", r"..\\x", "C:x", r"\\\\host\\x"] {
            let error = parse(&format!(r#"{{"weight_map":{{"a":"{file}"}}}}"#)).unwrap_err();
            assert!(matches!(error, Error::ShardIndex { .. }), "{file}: {error}");
        }
        assert!(parse(r#"{"weight_map":{"a":"parts/1.safetensors"}}"#).is_ok());
    }

    #[test]
    fn rejects_invalid_indices() {
        for text in ["", "{}", "[]", r#"{"weight_map":{}}"#, r#"{"weight_map":{"a":1}}"#, "{"] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, Error::ShardIndex { .. }), "{text}: {error}");
        }
    }
}
