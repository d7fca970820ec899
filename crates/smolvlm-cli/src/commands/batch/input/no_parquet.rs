//! Stand-in for the reader of Parquet in builds without the feature `parquet`: every file is an error.

use super::FileRows;
use crate::commands::batch::error::BatchError;
use crate::commands::batch::row::Data;
use crate::failure::Failure;
use std::path::Path;

/// No rows.
pub enum ParquetRows {}

impl ParquetRows {
    pub fn open(path: &Path, _columns: &[String]) -> Result<Self, Failure> {
        Err(missing(path))
    }
}

impl FileRows for ParquetRows {
    fn next(&mut self) -> Result<Option<Result<Data, String>>, Failure> {
        match *self {}
    }

    fn skip(&mut self, _count: u64) -> Result<u64, Failure> {
        match *self {}
    }
}

pub fn count_rows(path: &Path) -> Result<u64, Failure> {
    Err(missing(path))
}

pub fn has_integer_ids(path: &Path, _column: Option<&str>) -> Result<bool, Failure> {
    Err(missing(path))
}

fn missing(path: &Path) -> Failure {
    let message = "this build lacks the feature `parquet`; convert the file to JSONL".to_owned();
    BatchError::Input { path: path.to_owned(), message }.into()
}
