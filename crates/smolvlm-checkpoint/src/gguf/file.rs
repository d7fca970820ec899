//! An opened GGUF file and its metadata.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use smolvlm_kernels::MappedFile;

use super::header::Header;
use super::value::Value;
use crate::error::Error;
use crate::header::readable;
use crate::weights::FileBytes;

/// A memory-mapped GGUF file with a validated header.
#[derive(Debug)]
pub(crate) struct GgufFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: FileBytes,
    pub(crate) header: Header,
}

impl GgufFile {
    /// Maps a file and reads its header.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Gguf`].
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = MappedFile::open(path).map_err(|error| Error::io(path, error))?;
        Self::new(FileBytes::Mapped(file), path)
    }

    /// Reads the header of a file in memory; `path` is for error messages.
    pub(crate) fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>, path: &Path) -> Result<Self, Error> {
        Self::new(FileBytes::Memory(bytes.into()), path)
    }

    fn new(bytes: FileBytes, path: &Path) -> Result<Self, Error> {
        let header = Header::read(&bytes).map_err(|message| Error::Gguf { path: path.to_owned(), message })?;
        Ok(Self { path: path.to_owned(), bytes, header })
    }

    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::Gguf { path: self.path.clone(), message: message.into() }
    }

    /// A value of the metadata, converted; an error if the value has another type.
    fn get<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.header.metadata.get(key) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| self.error(format!("the key {key} must be {expected}")))
    }

    /// The error of a missing key.
    pub(super) fn missing(&self, key: &str) -> Error {
        self.error(format!("the key {key} is missing"))
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<usize>, Error> {
        self.get(key, "a non-negative integer", |value| usize::try_from(value.as_u64()?).ok())
    }

    /// A token id.
    pub(super) fn token(&self, key: &str) -> Result<Option<u32>, Error> {
        self.get(key, "a token id", |value| u32::try_from(value.as_u64()?).ok())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, Error> {
        self.get(key, "a number", Value::as_f64)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, Error> {
        self.get(key, "a string of UTF-8", |value| self.text_of(value))
    }

    /// Number of values of a list. To check it before the values are collected bounds memory.
    pub(super) fn list_len(&self, key: &str) -> Result<Option<usize>, Error> {
        self.get(key, "a list", |value| match value {
            Value::Array(array) => Some(array.count),
            _ => None,
        })
    }

    /// The texts of a list.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, Error> {
        self.list(key, "a list of strings of UTF-8", |value| self.text_of(&value))
    }

    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, Error> {
        self.list(key, "a list of numbers", |value| value.as_f64())
    }

    fn list<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Error> {
        self.get(key, expected, |value| match value {
            Value::Array(array) => array.values(&self.bytes).map(convert).collect(),
            _ => None,
        })
    }

    fn text_of(&self, value: &Value) -> Option<&str> {
        match value {
            Value::Text(range) => std::str::from_utf8(self.bytes.get(range.clone())?).ok(),
            _ => None,
        }
    }

    /// Shape of a tensor, outermost dimension first.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// Size of a tensor's dimension.
    pub(super) fn size(&self, name: &str, dimension: usize) -> Result<usize, Error> {
        let shape = self.shape(name).ok_or_else(|| self.error(format!("it has no tensor {name}")))?;
        let size = shape.get(dimension).copied();
        size.ok_or_else(|| self.error(format!("tensor {name} must have at least {} dimensions", dimension + 1)))
    }

    /// Checks the value of a text.
    pub(super) fn expect(&self, key: &str, expected: &str, advice: &str) -> Result<(), Error> {
        match self.text(key)? {
            Some(text) if text == expected => Ok(()),
            Some(text) => Err(self.error(format!("the key {key} is {}, must be {expected}{advice}", readable(text)))),
            None => Err(self.missing(key)),
        }
    }
}
