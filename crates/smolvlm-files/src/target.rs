//! Resolution of output paths.

use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Maximum number of symbolic links that are followed in a chain, as in Linux.
const MAX_LINKS: usize = 40;

/// The target of an output path, with links followed.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A regular file, which is replaced by a rename if it exists and created otherwise.
    File {
        /// Its path, which is not a link.
        path: PathBuf,
        /// Permissions of the existing file; none if there is no file.
        permissions: Option<Permissions>,
    },
    /// A pipe, a device, or a file that is already open as a file descriptor, which is written into.
    Stream(PathBuf),
    /// This process's standard output.
    Stdout,
}

impl Target {
    /// Resolves a path without changing anything.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
            Ok(metadata) if is_stdout(&metadata) => Ok(Self::Stdout),
            Ok(metadata) if !metadata.is_file() || is_descriptor(path) => Ok(Self::Stream(path.to_owned())),
            Ok(metadata) => {
                let path = fs::canonicalize(path)?;
                // Opening checks the permissions; a rename would also replace a read-only file.
                OpenOptions::new().write(true).open(&path)?;
                Ok(Self::File { path, permissions: Some(metadata.permissions()) })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let path = missing_file(path)?;
                let folder = fs::metadata(folder(&path)).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => io::Error::new(ErrorKind::NotFound, "its parent folder does not exist"),
                    _ => error,
                })?;
                match folder.is_dir() {
                    true => Ok(Self::File { path, permissions: None }),
                    false => Err(ErrorKind::NotADirectory.into()),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// The parent folder of a file; `.` for a bare file name.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The file that would be created at a path, with dangling links followed.
fn missing_file(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => path = folder(&path).join(fs::read_link(&path)?),
            _ if path.as_os_str().as_encoded_bytes().last().is_some_and(|&byte| is_separator(byte)) => {
                return Err(ErrorKind::IsADirectory.into());
            }
            _ if path.file_name().is_none() => return Err(ErrorKind::NotFound.into()),
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn is_separator(byte: u8) -> bool {
    std::path::is_separator(char::from(byte))
}

/// Whether a path leads to a file descriptor of a process, such as `/dev/fd/3`.
fn is_descriptor(path: &Path) -> bool {
    let leads_there = |path: &Path| path.starts_with("/dev/fd") || path.starts_with("/proc");
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if leads_there(&path) {
            return true;
        }
        let Ok(next) = fs::read_link(&path) else { return false };
        path = folder(&path).join(next);
    }
    false
}

#[cfg(unix)]
fn is_stdout(metadata: &Metadata) -> bool {
    use std::os::fd::AsFd;
    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() else { return false };
    fs::File::from(stdout).metadata().is_ok_and(|stdout| crate::same::has_same_inode(metadata, &stdout))
}

#[cfg(not(unix))]
fn is_stdout(_: &Metadata) -> bool {
    false
}
