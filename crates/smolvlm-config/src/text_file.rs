//! Reading of text files.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::Path,
};

use crate::Error;

/// Maximum size of a configuration file in bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// Strips a leading UTF-8 byte order mark, which some editors write.
pub fn without_byte_order_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// Reads a text file of at most `limit` bytes, without its byte order mark.
///
/// # Errors
///
/// Those of the operating system, [`ErrorKind::InvalidInput`] when `path` is not a regular file (a folder, a pipe, a
/// device), [`ErrorKind::FileTooLarge`], and [`ErrorKind::InvalidData`] for a text that is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    // Checked before opening, because opening a pipe blocks until there is a writer.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let too_large = || io::Error::new(ErrorKind::FileTooLarge, format!("longer than {limit} bytes"));
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut text = String::new();
    // The size is not enough: files may grow, or report none.
    File::open(path)?.take(limit.saturating_add(1)).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(too_large());
    }
    let mark = text.len() - without_byte_order_mark(&text).len();
    text.drain(..mark);
    Ok(text)
}

/// Reads a configuration file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    read_text(path, MAX_FILE_BYTES).map_err(|source| match source.kind() {
        ErrorKind::FileTooLarge => Error::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES },
        _ => Error::Read { path: path.to_owned(), source },
    })
}

/// Reads a configuration file; `None` if it does not exist.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, Error> {
    match read(path) {
        Err(Error::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Adds the file to an error.
pub(crate) fn in_file<T>(path: &Path, result: Result<T, Error>) -> Result<T, Error> {
    result.map_err(|error| Error::InFile { path: path.to_owned(), source: Box::new(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_up_to_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "\u{feff}ab").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "ab");
        assert_eq!(read_text(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn folders_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_text(folder.path(), 5).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[cfg(unix)]
    #[test]
    fn pipes_are_errors_and_do_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(read_text(&path, 5).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(matches!(read_optional(&path), Err(Error::Read { .. })));
    }
}
