//! Writing safetensors files.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::View;
use smolvlm_files::OutputFile;

use crate::error::Error;

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
