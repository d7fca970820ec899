//! Atomic writing of a file: a temporary file first, which then replaces the output.

use crate::drafts::{PREFIX, Registered};
use crate::target::{Target, folder};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use tempfile::{Builder, TempPath};

/// An output path with symbolic links resolved.
///
/// | the path names | [`Draft::commit`] |
/// |---|---|
/// | nothing, or a dangling link | creates the file, with mode 0666 less the umask |
/// | a regular file, or a link to one | replaces it by renaming, keeping its mode; readers see the old or new file |
/// | a pipe, a device, `/dev/stdout`, `/dev/fd/3` | writes into it |
///
/// A regular file that cannot be replaced, because its folder is not writable or it is a mount point, is overwritten in
/// place.
#[derive(Debug, Clone)]
pub struct OutputFile(Target);

impl OutputFile {
    /// Resolves the path without changing anything.
    ///
    /// # Errors
    ///
    /// When the path is a folder, the file is not writable, or its folder does not exist.
    pub fn resolve(path: &Path) -> io::Result<Self> {
        Target::of(path).map(Self)
    }

    /// Creates an empty draft, in the same folder if the output is a regular file. Dropping the draft deletes it.
    ///
    /// # Errors
    ///
    /// When no file can be created in the folder.
    pub fn draft(&self) -> io::Result<Draft> {
        let mut builder = Builder::new();
        builder.prefix(PREFIX);
        let in_temp_dir = || -> io::Result<_> { Ok((Builder::new().tempfile()?.into_temp_path(), None)) };
        let (path, permissions) = match &self.0 {
            Target::Stream(_) | Target::Stdout => in_temp_dir()?,
            Target::File { path, permissions } => {
                let draft = umasked(&mut builder).tempfile_in(folder(path));
                match (draft, permissions) {
                    (Ok(draft), Some(kept)) => (draft.into_temp_path(), Some(kept.clone())),
                    (Ok(draft), None) => {
                        let made = draft.as_file().metadata()?.permissions();
                        (draft.into_temp_path(), Some(made))
                    }
                    (Err(_), Some(_)) => in_temp_dir()?,
                    // The error's own message has the path of the draft.
                    (Err(error), None) => {
                        let kind = error.kind();
                        return Err(io::Error::new(kind, format!("cannot create a file in its folder: {kind}")));
                    }
                }
            }
        };
        let _registered = Registered::new(&path);
        Ok(Draft { path, permissions, target: self.0.clone(), _registered })
    }
}

/// A temporary file that replaces an [`OutputFile`] once it is complete.
#[derive(Debug)]
pub struct Draft {
    path: TempPath,
    /// Permissions of the output; none if the draft is copied instead of renamed.
    permissions: Option<Permissions>,
    target: Target,
    _registered: Registered,
}

impl Draft {
    /// Path of the temporary file, which may be written or replaced.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves or copies the content to the output.
    ///
    /// # Errors
    ///
    /// When the output cannot be written. A regular file that would have been replaced is then unchanged.
    pub fn commit(self) -> io::Result<()> {
        let Self { path: draft, permissions, target, .. } = self;
        match (target, permissions) {
            (Target::Stdout, _) => {
                let mut stdout = io::stdout().lock();
                io::copy(&mut File::open(&draft)?, &mut stdout)?;
                stdout.flush()
            }
            (Target::Stream(path), _) => {
                // A regular file that is already open may have earlier content, which is kept.
                copy(&draft, OpenOptions::new().append(true).open(path)?)
            }
            (Target::File { path, .. }, None) => copy(&draft, truncated(&path)?),
            (Target::File { path, permissions: replaced }, Some(permissions)) => {
                fs::set_permissions(&draft, permissions)?;
                if replaced.is_some() {
                    // A power failure must not leave an empty file in place of the old one.
                    File::open(&draft)?.sync_all()?;
                }
                match draft.persist(&path) {
                    Err(error) if replaced.is_some() && is_mount(&error.error) => copy(&error.path, truncated(&path)?),
                    persisted => persisted.map_err(|error| error.error),
                }
            }
        }
    }
}

/// Writes a complete file atomically.
///
/// # Errors
///
/// Errors of [`OutputFile::resolve`], [`OutputFile::draft`] and [`Draft::commit`].
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let draft = OutputFile::resolve(path)?.draft()?;
    fs::write(draft.path(), content)?;
    draft.commit()
}

fn copy(draft: &Path, mut target: File) -> io::Result<()> {
    io::copy(&mut File::open(draft)?, &mut target)?;
    target.flush()
}

fn truncated(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).truncate(true).open(path)
}

/// Whether an error of renaming says that the target is a mount point: it is busy, or on another device than its
/// folder.
fn is_mount(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices)
}

#[cfg(unix)]
fn umasked<'b>(builder: &'b mut Builder<'static, 'static>) -> &'b mut Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn umasked<'b>(builder: &'b mut Builder<'static, 'static>) -> &'b mut Builder<'static, 'static> {
    builder
}

#[cfg(test)]
mod tests {
    use super::{OutputFile, write};
    use std::fs;
    use std::io::ErrorKind;

    #[test]
    fn dropped_draft_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, "old").unwrap();
        let draft = OutputFile::resolve(&path).unwrap().draft().unwrap();
        fs::write(draft.path(), "half").unwrap();
        drop(draft);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn paths_that_cannot_be_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |name: &str| write(&folder.path().join(name), "").map_err(|error| error.kind());
        assert_eq!(kind(""), Err(ErrorKind::IsADirectory));
        assert_eq!(kind("new/"), Err(ErrorKind::IsADirectory));
        assert_eq!(kind("no/such"), Err(ErrorKind::NotFound));
        kind("file").unwrap();
        assert_eq!(kind("file/below"), Err(ErrorKind::NotADirectory));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn errors_of_drafts_do_not_name_them() {
        let error = OutputFile::resolve("/proc/file".as_ref()).unwrap().draft().unwrap_err().to_string();
        assert!(error.contains("cannot create a file") && !error.contains("/proc"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn circular_links_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("b")).unwrap();
        assert!(write(&folder.path().join("a"), "").is_err());
    }
}
