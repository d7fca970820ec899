//! The journal of an unfinished part: one line per answer, in the order in which they were finished.

use super::Answer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Maximum length of a line in bytes.
const MAX_LINE: u64 = 64 << 20;

/// A line.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// Index of the row in the data set.
    index: u64,
    answer: Answer,
}

/// An append-only file, which is created with the first line.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
}

impl Journal {
    /// Opens a journal and reads its answers by the index of their row. An incomplete last line is removed; lines that
    /// are invalid, or for which `is_expected` is false, are ignored.
    ///
    /// # Errors
    ///
    /// When an existing file cannot be read or written.
    pub fn open(path: PathBuf, is_expected: impl Fn(u64) -> bool) -> io::Result<(Self, BTreeMap<u64, Answer>)> {
        let mut answers = BTreeMap::new();
        let file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Self { path, file: None }, answers)),
            Err(error) => return Err(error),
        };
        let mut complete = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            complete += read as u64;
            if let Ok(Entry { index, answer }) = serde_json::from_slice(&line)
                && is_expected(index)
            {
                answers.entry(index).or_insert(answer);
            }
        }
        file.set_len(complete)?;
        Ok((Self { path, file: Some(file) }, answers))
    }

    /// Appends an answer, in one write.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn append(&mut self, index: u64, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Entry { index, answer: answer.clone() })?;
        line.push(b'\n');
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(OpenOptions::new().append(true).create_new(true).open(&self.path)?),
        };
        file.write_all(&line)
    }

    /// Deletes the file.
    ///
    /// # Errors
    ///
    /// When an existing file cannot be deleted.
    pub fn delete(self) -> io::Result<()> {
        if self.file.is_some() { Self::delete_at(&self.path) } else { Ok(()) }
    }

    /// Deletes the journal at a path, if there is one.
    pub fn delete_at(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Journal};
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    fn answer(id: u64) -> Answer {
        Answer { text: Some(format!("line\n{id}é")), error: None, ..Answer::failed(json!(id), String::new()) }
    }

    fn open(path: &Path) -> (Journal, BTreeMap<u64, Answer>) {
        Journal::open(path.to_owned(), |index| index < 100).unwrap()
    }

    fn indices(path: &Path) -> Vec<u64> {
        open(path).1.into_keys().collect()
    }

    #[test]
    fn answers_survive_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, answers) = open(&path);
        assert!(answers.is_empty() && !path.exists());
        for index in [7, 3, 5] {
            journal.append(index, &answer(index)).unwrap();
        }
        let (mut journal, answers) = open(&path);
        assert_eq!(answers, BTreeMap::from([3, 5, 7].map(|index| (index, answer(index)))));
        journal.append(1, &answer(1)).unwrap();
        assert_eq!(indices(&path), [1, 3, 5, 7]);
        journal.delete().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_torn_last_line_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = open(&path);
        for index in 0..3 {
            journal.append(index, &answer(index)).unwrap();
        }
        drop(journal);
        let whole = fs::read(&path).unwrap();
        let ends: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] == b'\n').collect();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let complete = ends.iter().filter(|&&end| end < length).count() as u64;
            let (mut journal, answers) = open(&path);
            assert_eq!(answers.into_keys().collect::<Vec<_>>(), (0..complete).collect::<Vec<_>>(), "{length}");
            // What follows is a line of its own.
            journal.append(9, &answer(9)).unwrap();
            assert_eq!(open(&path).1.get(&9), Some(&answer(9)), "{length}");
        }
    }

    #[test]
    fn hostile_lines_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = open(&path);
        journal.append(1, &answer(1)).unwrap();
        journal.append(2, &answer(2)).unwrap();
        drop(journal);
        let valid = fs::read_to_string(&path).unwrap();
        let [one, two] = valid.lines().collect::<Vec<_>>()[..] else { panic!() };
        let changed = two.replace("line", "other");
        let deep = "[".repeat(100_000);
        let lines = [
            "",
            "{}",
            "null",
            "\u{0}\u{0}",
            &deep,
            one,
            "{\"index\":5}",
            "{\"index\":-1,\"answer\":{}}",
            "{\"index\":99999999999999999999,\"answer\":{}}",
            two,
            &changed,
        ];
        let outside = two.replace("\"index\":2", "\"index\":100");
        let unknown = two.replace("\"index\":2", "\"index\":3").replace("\"notes\"", "\"remarks\"");
        let mut file = lines.join("\n").into_bytes();
        file.extend(b"\n\xff\xfe\n");
        file.extend(format!("{outside}\n{unknown}\n").bytes());
        fs::write(&path, file).unwrap();
        assert_eq!(open(&path).1, BTreeMap::from([(1, answer(1)), (2, answer(2))]));
    }

    #[test]
    fn unreadable_journals_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::open(folder.path().to_owned(), |_| true).is_err());
    }
}
