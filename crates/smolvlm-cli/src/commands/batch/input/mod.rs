//! Data sets: their files, and their rows in order.

mod files;
mod identity;
mod jsonl;
#[cfg_attr(not(feature = "parquet"), path = "no_parquet.rs")]
mod parquet;

pub use identity::hash_files;

use super::error::BatchError;
use super::output::IdType;
use super::row::{Data, Row};
use crate::failure::Failure;
use files::{Files, Found};
use identity::Identity;
use smolvlm::processor::MediaKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the files of a data set contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each file is a row: an image or a video.
    Media,
    /// Rows in JSON.
    Json,
    /// Rows in Parquet.
    Parquet,
}

impl Kind {
    /// The kind of a file by its name.
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" | "json" => Some(Self::Json),
            "parquet" => Some(Self::Parquet),
            _ => path.to_str().and_then(MediaKind::of_name).map(|_| Self::Media),
        }
    }
}

/// A data set.
#[derive(Debug)]
pub struct Input {
    files: Files,
    kind: Kind,
    identity: Identity,
}

/// Rows of a file that is read.
trait FileRows {
    /// The next row; an inner error is that of one row only.
    fn next(&mut self) -> Result<Option<Result<Data, String>>, Failure>;

    /// Skips up to `count` rows and returns how many there were.
    fn skip(&mut self, count: u64) -> Result<u64, Failure>;
}

impl Input {
    /// Finds the files of a data set and computes its identity, without reading its rows.
    ///
    /// # Errors
    ///
    /// A path that cannot be read, a file or mix of files that is not a data set, Parquet without its feature.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let (files, kind) = Files::open(path)?;
        let identity = Identity::of(&files, kind)?;
        if kind == Kind::Media && identity.is_empty() {
            let message =
                "contains no images or videos by their names; give data files by a pattern such as 'DIR/*.jsonl'";
            return Err(BatchError::Input { path: path.to_owned(), message: message.to_owned() }.into());
        }
        Ok(Self { files, kind, identity })
    }

    /// What its files contain.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A hash of what identifies it, see [`Identity`].
    pub fn hash(&self) -> &str {
        &self.identity.hash
    }

    /// The type of identifiers in Parquet. That of JSON may differ from row to row.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn id_type(&self, column: Option<&str>) -> Result<IdType, Failure> {
        if self.kind == Kind::Parquet
            && let Some(first) = self.files.list().next()
            && parquet::has_integer_ids(&first?.path, column)?
        {
            return Ok(IdType::Integer);
        }
        Ok(IdType::Text)
    }

    /// Checks that the first file has some columns, if it has a schema.
    ///
    /// # Errors
    ///
    /// Columns that are missing, a file that cannot be read.
    pub fn check_columns(&self, columns: &[String]) -> Result<(), Failure> {
        if self.kind == Kind::Parquet
            && let Some(first) = self.files.list().next()
        {
            parquet::ParquetRows::open(&first?.path, columns)?;
        }
        Ok(())
    }

    /// Reads the rows. Only the given columns are read where the format allows it.
    pub fn reader<'a>(&'a self, columns: &'a [String]) -> Reader<'a> {
        Reader {
            input: self,
            columns,
            files: self.files.list(),
            current: None,
            folder: Path::new("").into(),
            bytes: Arc::default(),
            index: 0,
        }
    }
}

/// The rows of a data set, in order.
pub struct Reader<'a> {
    input: &'a Input,
    columns: &'a [String],
    files: Box<dyn Iterator<Item = Result<Found, Failure>> + 'a>,
    current: Option<Box<dyn FileRows>>,
    /// The folder of the current file.
    folder: Arc<Path>,
    /// Bytes that were read.
    bytes: Arc<AtomicU64>,
    /// Index of the next row.
    index: u64,
}

impl Reader<'_> {
    /// The next row; none at the end.
    ///
    /// # Errors
    ///
    /// A file that cannot be read any further.
    pub fn next_row(&mut self) -> Result<Option<Row>, Failure> {
        let data = loop {
            if let Some(current) = &mut self.current {
                match current.next()? {
                    Some(data) => break data,
                    None => self.current = None,
                }
            }
            let Some(found) = self.files.next().transpose()? else { return Ok(None) };
            if self.input.kind == Kind::Media {
                break Ok(Data::File { path: found.path, name: found.name });
            }
            self.open(&found.path)?;
        };
        let (index, folder) = (self.index, self.folder.clone());
        self.index += 1;
        let position = self.input.identity.position(self.index, self.bytes.load(Ordering::Relaxed));
        Ok(Some(Row { index, data, folder, position }))
    }

    /// Skips the rows before `index`. Returns whether there are that many.
    ///
    /// # Errors
    ///
    /// As [`next_row`](Self::next_row).
    pub fn skip_to(&mut self, index: u64) -> Result<bool, Failure> {
        while self.index < index {
            if let Some(current) = &mut self.current {
                let missing = index - self.index;
                let skipped = current.skip(missing)?;
                self.index += skipped;
                if skipped < missing {
                    self.current = None;
                }
                continue;
            }
            let Some(found) = self.files.next().transpose()? else { return Ok(false) };
            if self.input.kind == Kind::Media {
                self.index += 1;
            } else {
                self.open(&found.path)?;
            }
        }
        Ok(true)
    }

    fn open(&mut self, path: &Path) -> Result<(), Failure> {
        self.folder = path.parent().unwrap_or(Path::new("")).into();
        self.current = Some(match self.input.kind {
            Kind::Parquet => Box::new(parquet::ParquetRows::open(path, self.columns)?),
            _ => Box::new(jsonl::JsonRows::open(path, self.bytes.clone())?),
        });
        Ok(())
    }
}

fn read_failure(path: &Path, source: std::io::Error) -> Failure {
    Failure::Read { path: PathBuf::from(path), source }
}
