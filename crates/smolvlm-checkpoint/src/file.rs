//! Writing safetensors files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, View};
use smolvlm_files::OutputFile;

use crate::error::Error;
use crate::values::{Values, stored_type};

/// Writes tensors as a safetensors file, which appears under its name once it is complete and `check` succeeds.
///
/// # Errors
///
/// [`Error::Io`] when it cannot be written, [`Error::Safetensors`] when the tensors cannot be serialized, and errors of
/// `check`.
pub(crate) fn write_file<N, V>(
    tensors: impl IntoIterator<Item = (N, V)>,
    path: &Path,
    check: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error>
where
    N: AsRef<str> + Ord + std::fmt::Display,
    V: View,
{
    let failed = |error| Error::io(path, error);
    let draft = OutputFile::resolve(path).and_then(|output| output.draft()).map_err(failed)?;
    // Metadata that transformers writes and requires.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let written = safetensors::serialize_to_file(tensors, Some(metadata), draft.path());
    check()?;
    written.map_err(|error| match error {
        safetensors::SafeTensorError::IoError(error) => failed(error),
        error => Error::Safetensors { path: path.to_owned(), message: error.to_string() },
    })?;
    draft.commit().map_err(failed)
}

/// A tensor to save.
#[derive(Debug, Clone)]
pub struct NamedTensor {
    /// Name in the file.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, as many as the shape has elements.
    pub values: Values,
}

/// Writes tensors as one safetensors file, which appears under its name once it is complete.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be written, [`Error::Safetensors`] when shapes and values do not match.
pub fn write_checkpoint(tensors: Vec<NamedTensor>, path: impl AsRef<Path>) -> Result<(), Error> {
    let tensors = tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor));
    write_file(tensors, path.as_ref(), || Ok(()))
}

impl View for NamedTensor {
    fn dtype(&self) -> Dtype {
        stored_type(self.values.float_type())
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.bytes()
    }

    fn data_len(&self) -> usize {
        self.values.bytes().len()
    }
}
