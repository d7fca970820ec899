//! Writing safetensors files.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::View;

use crate::error::Error;

/// Writes tensors as a safetensors file, which appears under its name once it is complete.
///
/// # Errors
///
/// [`Error::Io`] when it cannot be written, [`Error::Safetensors`] when the tensors make no file.
pub(crate) fn write_file<N, V>(tensors: impl IntoIterator<Item = (N, V)>, path: &Path) -> Result<(), Error>
where
    N: AsRef<str> + Ord + std::fmt::Display,
    V: View,
{
    // What transformers writes, and asks for when it reads.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(error) => Error::io(path, error),
        error => Error::Safetensors { path: path.to_owned(), message: error.to_string() },
    })?;
    // It was a temporary file, which nobody else may read.
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .map_err(|error| Error::io(path, error))?;
    Ok(())
}
