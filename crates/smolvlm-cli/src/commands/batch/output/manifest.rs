//! The manifest of an output folder: the settings of the run, which later runs must repeat.

use super::sync_folder;
use crate::commands::batch::error::BatchError;
use crate::failure::Failure;
use crate::output::write_failure;
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

/// File name.
const NAME: &str = "batch.json";

/// Maximum size in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Version of the layout.
const VERSION: u64 = 1;

/// Maximum number of characters of a value in an error.
const SHOWN: usize = 80;

/// Writes the settings of a first run, or compares them with those of the earlier run. The caller holds the lock of
/// the manifest. Returns whether there was an earlier run.
///
/// # Errors
///
/// Settings that differ, a damaged manifest, parts without a manifest, a folder that cannot be written.
pub fn check_manifest(folder: &Path, settings: Value) -> Result<bool, Failure> {
    let path = folder.join(NAME);
    let Some(text) = read(&path)? else {
        if let Some(path) = first_part(folder).map_err(|error| write_failure(folder, error))? {
            return Err(BatchError::NoManifest { path }.into());
        }
        let manifest = json!({"version": VERSION, "smolvlm": env!("CARGO_PKG_VERSION"), "settings": settings});
        write(folder, &manifest).map_err(|error| write_failure(&path, error))?;
        return Ok(false);
    };
    let damaged = |message: &str| BatchError::Manifest { path: path.clone(), message: message.to_owned() };
    let manifest: Value = serde_json::from_slice(&text).map_err(|_| damaged("is damaged"))?;
    if manifest["version"] != VERSION {
        return Err(damaged("is not a manifest of this release").into());
    }
    let Value::Object(earlier) = &manifest["settings"] else { return Err(damaged("is damaged").into()) };
    // As the earlier ones were, so that equal numbers are equal.
    let settings: Value = serde_json::from_str(&settings.to_string()).map_err(io::Error::from)?;
    let mut differences = Vec::new();
    compare("", earlier, settings.as_object().unwrap_or(&Map::new()), &mut differences);
    if differences.is_empty() { Ok(true) } else { Err(BatchError::Settings { path, differences }.into()) }
}

/// The content of the manifest; none if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let read = || -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(path)?.take(MAX_BYTES).read_to_end(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::Read { path: path.to_owned(), source }),
    }
}

fn write(folder: &Path, manifest: &Value) -> io::Result<()> {
    let draft = folder.join(format!("{NAME}.tmp"));
    let mut file = File::create(&draft)?;
    file.write_all(format!("{manifest:#}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, folder.join(NAME))?;
    sync_folder(folder)
}

/// A file in the folder with the name of a part.
fn first_part(folder: &Path) -> io::Result<Option<std::path::PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("part-") || (name.starts_with("shard-") && name.contains("-part-")) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Lists the settings that differ, with the names of nested ones joined by dots.
fn compare(prefix: &str, earlier: &Map<String, Value>, now: &Map<String, Value>, differences: &mut Vec<String>) {
    let new = now.keys().filter(|key| !earlier.contains_key(*key));
    for key in earlier.keys().chain(new) {
        let name = format!("{prefix}{key}");
        match (earlier.get(key).unwrap_or(&Value::Null), now.get(key).unwrap_or(&Value::Null)) {
            (Value::Object(earlier), Value::Object(now)) => compare(&format!("{name}."), earlier, now, differences),
            (earlier, now) if earlier != now => {
                differences.push(format!("{name} was {}, is {}", shown(earlier), shown(now)));
            }
            _ => {}
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::check_manifest;
    use serde_json::{Value, json};
    use std::fs;
    use std::path::Path;

    fn check(folder: &Path, settings: Value) -> Result<bool, String> {
        check_manifest(folder, settings).map_err(|failure| failure.to_string())
    }

    #[test]
    fn only_the_same_settings_resume() {
        let folder = tempfile::tempdir().unwrap();
        let settings = |temperature: f32, more: Value| {
            let sampling = json!({"temperature": temperature, "stop": ["x"]});
            json!({"input": "a.jsonl", "sampling": sampling, "more": more})
        };
        assert_eq!(check(folder.path(), settings(0.1, json!(null))), Ok(false));
        assert_eq!(check(folder.path(), settings(0.1, json!(null))), Ok(true));
        let error = check(folder.path(), settings(0.2, json!(null))).unwrap_err();
        assert!(error.contains("sampling.temperature was 0.1") && !error.contains("stop"), "{error}");
        let error = check(folder.path(), settings(0.1, json!({"a": "b".repeat(1000)}))).unwrap_err();
        assert!(error.contains("more was null, is {\"a\":\"bbb") && error.len() < 500, "{error}");
        let mut longer = settings(0.1, json!(null));
        longer["new"] = json!(true);
        assert!(check(folder.path(), longer).unwrap_err().contains("new was null, is true"));
        assert!(check(folder.path(), json!({})).unwrap_err().contains("input was \"a.jsonl\", is null"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn damaged_manifests_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), json!({"a": 1})).unwrap();
        let path = folder.path().join("batch.json");
        let valid = fs::read(&path).unwrap();
        let last = valid.iter().rposition(|&byte| byte == b'}').unwrap();
        let deep = b"[".repeat(100_000);
        let other = br#"{"version": 2, "settings": {"a": 1}}"#;
        let texts = [&b"null"[..], b"{}", b"\xff\xff", &br#"{"version":1,"settings":7}"#[..], other, &deep];
        for text in (0..=last).map(|end| &valid[..end]).chain(texts) {
            fs::write(&path, text).unwrap();
            assert!(check(folder.path(), json!({"a": 1})).is_err(), "{}", String::from_utf8_lossy(text));
            assert_eq!(fs::read(&path).unwrap(), text);
        }
        fs::write(&path, valid).unwrap();
        assert_eq!(check(folder.path(), json!({"a": 1})), Ok(true));
    }

    #[test]
    fn parts_without_a_manifest_are_not_resumed() {
        for name in ["part-00000.jsonl", "part-00001.jsonl.partial", "shard-1-of-2-part-00000.parquet"] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("notes.txt"), "").unwrap();
            fs::write(folder.path().join(name), "").unwrap();
            assert!(check(folder.path(), json!({})).unwrap_err().contains(name));
        }
    }
}
