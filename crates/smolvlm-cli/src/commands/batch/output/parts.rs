//! Part files: their names and their atomic writing.

use super::{Answer, Journal, sync_folder};
use crate::args::{Format, Shard};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

/// The type of the column `id` in Parquet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdType {
    /// Signed integers of 64 bits.
    Integer,
    /// Text.
    Text,
}

/// The part files of a shard. A part that exists is complete.
#[derive(Debug)]
pub struct Parts {
    /// The output folder.
    pub folder: PathBuf,
    /// The shard.
    pub shard: Shard,
    /// The format of the files.
    pub format: Format,
    /// Rows per file, except for the last one.
    pub rows: u64,
    /// The type of identifiers.
    pub id_type: IdType,
}

impl Parts {
    fn stem(&self, part: u64) -> String {
        match self.shard {
            Shard { count: 1, .. } => format!("part-{part:05}"),
            Shard { number, count } => format!("shard-{number}-of-{count}-part-{part:05}"),
        }
    }

    fn path(&self, part: u64) -> PathBuf {
        self.folder.join(format!("{}.{}", self.stem(part), self.format.as_str()))
    }

    fn journal_path(&self, part: u64) -> PathBuf {
        self.folder.join(format!("{}.jsonl.partial", self.stem(part)))
    }

    /// Whether a part is complete. Then its journal, which a killed process may have left, is deleted.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read or written.
    pub fn is_complete(&self, part: u64) -> io::Result<bool> {
        let exists = fs::exists(self.path(part))?;
        if exists {
            Journal::delete_at(&self.journal_path(part))?;
        }
        Ok(exists)
    }

    /// Opens the journal of a part, with the answers that it has. `is_expected` says which rows the part has.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read or written.
    pub fn journal(
        &self,
        part: u64,
        is_expected: impl Fn(u64) -> bool,
    ) -> io::Result<(Journal, BTreeMap<u64, Answer>)> {
        Journal::open(self.journal_path(part), is_expected)
    }

    /// Writes a part: a temporary file, which is made durable and renamed. Then deletes the journal.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write<'a>(
        &self,
        part: u64,
        answers: impl Iterator<Item = &'a Answer> + Clone,
        journal: Journal,
    ) -> io::Result<()> {
        let path = self.path(part);
        // Always the same name, so that the next attempt replaces the file of a killed process.
        let draft = self.folder.join(format!(".{}.tmp", self.stem(part)));
        let file = match self.format {
            Format::Jsonl => write_lines(File::create(&draft)?, answers)?,
            Format::Parquet => super::parquet::write(File::create(&draft)?, answers, self.id_type)?,
        };
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        sync_folder(&self.folder)?;
        journal.delete()
    }

    /// Number of rows of a complete part, and how many of them failed.
    ///
    /// # Errors
    ///
    /// When the part cannot be read.
    pub fn count(&self, part: u64) -> io::Result<(u64, u64)> {
        let file = File::open(self.path(part))?;
        match self.format {
            Format::Jsonl => count_lines(file),
            Format::Parquet => super::parquet::count(file),
        }
    }
}

fn write_lines<'a>(file: File, answers: impl Iterator<Item = &'a Answer>) -> io::Result<File> {
    let mut writer = BufWriter::new(file);
    for answer in answers {
        serde_json::to_writer(&mut writer, answer)?;
        writer.write_all(b"\n")?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

/// Of a row, whether it failed.
#[derive(Deserialize)]
struct Status {
    error: Option<IgnoredAny>,
}

fn count_lines(file: File) -> io::Result<(u64, u64)> {
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    let (mut rows, mut failed) = (0, 0);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok((rows, failed));
        }
        rows += 1;
        failed += u64::from(serde_json::from_slice::<Status>(&line)?.error.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Format, IdType, Parts, Shard};
    use serde_json::json;
    use std::fs;
    use std::path::Path;

    fn parts(folder: &Path, format: Format) -> Parts {
        let shard = Shard { number: 2, count: 3 };
        Parts { folder: folder.to_owned(), shard, format, rows: 2, id_type: IdType::Text }
    }

    #[test]
    fn a_part_replaces_its_journal() {
        let folder = tempfile::tempdir().unwrap();
        let formats = if cfg!(feature = "parquet") { &[Format::Jsonl, Format::Parquet][..] } else { &[Format::Jsonl] };
        for &format in formats {
            let parts = parts(folder.path(), format);
            let answers = [
                Answer { text: Some("a".to_owned()), error: None, ..Answer::failed(json!("x"), String::new()) },
                Answer::failed(json!(2), "missing".to_owned()),
            ];
            assert!(!parts.is_complete(0).unwrap());
            let (mut journal, _) = parts.journal(0, |_| true).unwrap();
            journal.append(0, &answers[0]).unwrap();
            parts.write(0, answers.iter(), journal).unwrap();
            let name = format!("shard-2-of-3-part-00000.{}", format.as_str());
            let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, [name.as_str()]);
            assert_eq!(parts.count(0).unwrap(), (2, 1));
            // As if the process had been killed before it deleted the journal.
            let (mut journal, _) = parts.journal(0, |_| true).unwrap();
            journal.append(0, &answers[0]).unwrap();
            assert!(parts.is_complete(0).unwrap());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            fs::remove_file(folder.path().join(name)).unwrap();
        }
    }

    #[test]
    fn damaged_parts_are_errors_when_counted() {
        let folder = tempfile::tempdir().unwrap();
        let parts = parts(folder.path(), Format::Jsonl);
        fs::write(parts.path(0), "{\"error\": null}\n{\"error\":").unwrap();
        assert!(parts.count(0).is_err());
        assert!(parts.count(1).is_err());
    }
}
