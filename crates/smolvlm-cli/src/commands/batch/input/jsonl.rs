//! Rows in JSON: one per line, or a list.

use super::{FileRows, read_failure};
use crate::commands::batch::cell::Cell;
use crate::commands::batch::error::BatchError;
use crate::commands::batch::row::Data;
use crate::conversations::{Item, Items};
use crate::failure::Failure;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The rows of a JSON file.
pub struct JsonRows {
    items: Items<BufReader<Counted>>,
    path: PathBuf,
}

impl JsonRows {
    /// Opens a file; `.json` may be a list of rows. What is read is added to `bytes`.
    pub fn open(path: &Path, bytes: Arc<AtomicU64>) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|source| read_failure(path, source))?;
        let reader = BufReader::with_capacity(1 << 16, Counted { file, bytes });
        let may_be_list = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let items = if may_be_list { Items::rows(reader) } else { Items::new(reader, true) };
        Ok(Self { items, path: path.to_owned() })
    }

    fn item(&mut self) -> Result<Option<(usize, Vec<u8>)>, Failure> {
        let item = self.items.next().transpose().map_err(|source| read_failure(&self.path, source))?;
        let Some(Item { text, line, .. }) = item else { return Ok(None) };
        let too_long = || BatchError::Input { path: self.path.clone(), message: format!("line {line}: is too long") };
        Ok(Some((line, text.ok_or_else(too_long)?)))
    }
}

impl FileRows for JsonRows {
    fn next(&mut self) -> Result<Option<Result<Data, String>>, Failure> {
        Ok(self.item()?.map(|(line, text)| match serde_json::from_slice(&text) {
            Ok(Value::Object(fields)) => {
                let columns = fields.into_iter().map(|(name, value)| (name, value.into()));
                Ok(Data::Columns(columns.collect()))
            }
            Ok(list @ Value::Array(_)) => Ok(Data::Messages(list.into())),
            Ok(other) => Err(format!("line {line}: is {}, not an object", Cell::from(other).kind())),
            Err(error) => Err(format!("line {line}: {}", of_file(&error, line))),
        }))
    }

    fn skip(&mut self, count: u64) -> Result<u64, Failure> {
        for skipped in 0..count {
            if self.item()?.is_none() {
                return Ok(skipped);
            }
        }
        Ok(count)
    }
}

/// The message of a JSON error with the line of the file, without that of the item.
fn of_file(error: &serde_json::Error, start: usize) -> String {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head);
    match error.line() {
        0 | 1 => message.to_owned(),
        inner => format!("{message} (line {})", start + inner - 1),
    }
}

/// A file whose read bytes are counted.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{Data, FileRows, JsonRows};
    use crate::commands::batch::cell::Cell;

    fn rows(name: &str, text: &str) -> Vec<Result<Data, String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut rows = JsonRows::open(&path, Default::default()).unwrap();
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    fn object(value: &str) -> Result<Data, String> {
        Ok(Data::Columns(vec![("a".to_owned(), Cell::Text(value.to_owned()))]))
    }

    #[test]
    fn lines_and_lists_are_rows() {
        let (one, two) = (r#"{"a": "1"}"#, r#"{"a": "2"}"#);
        let lines = format!("\u{feff}{one}\n\n  \r\n{two}");
        let expected = [object("1"), object("2")];
        for name in ["x.jsonl", "x.ndjson", "x.json", "x.JSON"] {
            assert_eq!(rows(name, &lines), expected, "{name}");
        }
        assert_eq!(rows("x.json", &format!(" [{one},\n{two}\n]\n")), expected);
        assert_eq!(rows("x.jsonl", ""), []);
        assert_eq!(rows("x.json", "[]"), []);
        assert_eq!(rows("x.jsonl", "[1]"), [Ok(Data::Messages(Cell::List(vec![Cell::Number(1.into())])))]);
    }

    #[test]
    fn an_invalid_row_affects_no_other() {
        let rows = rows("x.jsonl", "{\"a\": \"1\"\n7\n\"text\"\n{\"a\": \"\u{fffd}\"}\n[\n{\"a\": \"2\"}\n");
        let (valid, invalid): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
        assert_eq!(valid, [object("\u{fffd}"), object("2")]);
        let errors: Vec<String> = invalid.into_iter().filter_map(Result::err).collect();
        for (error, place) in
            errors.iter().zip(["line 1: EOF", "line 2: is a number", "line 3: is a string", "line 5: EOF"])
        {
            assert!(error.starts_with(place), "{error}");
        }
        assert_eq!(errors.len(), 4);
    }

    #[test]
    fn skipped_rows_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        std::fs::write(&path, "1\n{\"a\": \"2\"}\n3\n").unwrap();
        let mut rows = JsonRows::open(&path, Default::default()).unwrap();
        assert_eq!(rows.skip(1).unwrap(), 1);
        assert_eq!(rows.next().unwrap(), Some(object("2")));
        assert_eq!(rows.skip(9).unwrap(), 1);
        assert_eq!(rows.next().unwrap(), None);
    }
}
