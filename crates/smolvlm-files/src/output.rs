//! Writing a file in two steps: a draft beside it, then its content where the path leads.

use crate::drafts::{PREFIX, Registered};
use crate::target::{Target, folder};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use tempfile::{Builder, TempPath};

/// An output path, resolved through links.
///
/// | the path names | what [`Draft::commit`] does |
/// |---|---|
/// | nothing, or a link to nothing | makes the file, with the mode that the umask leaves |
/// | a regular file, or a link to one | replaces it by a rename, keeping its mode; a reader sees the old file or the new one |
/// | a pipe, a device, `/dev/stdout`, `/dev/fd/3` | writes into it |
///
/// A regular file that cannot be replaced, because its folder is not writable or it is a mount of its own, is written into.
#[derive(Debug, Clone)]
pub struct OutputFile(Target);

impl OutputFile {
    /// Finds out what the path names. Nothing is changed yet.
    ///
    /// # Errors
    ///
    /// A folder, a file that may not be written, a path whose folder does not exist.
    pub fn resolve(path: &Path) -> io::Result<Self> {
        Target::of(path).map(Self)
    }

    /// Makes an empty draft, beside the file if it is a regular one. Dropping the draft deletes it.
    ///
    /// # Errors
    ///
    /// A folder in which no file can be made.
    pub fn draft(&self) -> io::Result<Draft> {
        let mut builder = Builder::new();
        builder.prefix(PREFIX);
        let anywhere = || -> io::Result<_> { Ok((Builder::new().tempfile()?.into_temp_path(), None)) };
        let (path, permissions) = match &self.0 {
            Target::Stream(_) | Target::Stdout => anywhere()?,
            Target::File { path, permissions } => {
                let draft = umasked(&mut builder).tempfile_in(folder(path));
                match (draft, permissions) {
                    (Ok(draft), Some(kept)) => (draft.into_temp_path(), Some(kept.clone())),
                    (Ok(draft), None) => {
                        let made = draft.as_file().metadata()?.permissions();
                        (draft.into_temp_path(), Some(made))
                    }
                    (Err(_), Some(_)) => anywhere()?,
                    (Err(error), None) => return Err(error),
                }
            }
        };
        let _registered = Registered::new(&path);
        Ok(Draft { path, permissions, target: self.0.clone(), _registered })
    }
}

/// A file to be filled, which takes the place of an [`OutputFile`] when it is complete.
#[derive(Debug)]
pub struct Draft {
    path: TempPath,
    /// Those that the file gets; none if the draft is copied instead of renamed.
    permissions: Option<Permissions>,
    target: Target,
    _registered: Registered,
}

impl Draft {
    /// The file to be filled: it may be written, or replaced.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the content where the output path leads.
    ///
    /// # Errors
    ///
    /// Those of writing; a regular file is then as it was.
    pub fn commit(self) -> io::Result<()> {
        let Self { path: draft, permissions, target, .. } = self;
        match (target, permissions) {
            (Target::Stdout, _) => {
                let mut stdout = io::stdout().lock();
                io::copy(&mut File::open(&draft)?, &mut stdout)?;
                stdout.flush()
            }
            (Target::Stream(path), _) => {
                // A regular file that somebody holds open has content before this one.
                copy(&draft, OpenOptions::new().append(true).open(path)?)
            }
            (Target::File { path, .. }, None) => copy(&draft, truncated(&path)?),
            (Target::File { path, permissions: replaced }, Some(permissions)) => {
                fs::set_permissions(&draft, permissions)?;
                if replaced.is_some() {
                    // A power cut must not leave an empty file in place of the old one.
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

/// Writes a whole file.
///
/// # Errors
///
/// As [`OutputFile::resolve`], [`OutputFile::draft`] and [`Draft::commit`].
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

/// A file that is a mount point is busy, or on another device than its folder.
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
    fn a_draft_that_is_dropped_leaves_the_old_file() {
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
    fn paths_that_are_no_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |name: &str| write(&folder.path().join(name), "").map_err(|error| error.kind());
        assert_eq!(kind(""), Err(ErrorKind::IsADirectory));
        assert_eq!(kind("new/"), Err(ErrorKind::IsADirectory));
        assert_eq!(kind("no/such"), Err(ErrorKind::NotFound));
        kind("file").unwrap();
        assert_eq!(kind("file/below"), Err(ErrorKind::NotADirectory));
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("b")).unwrap();
        assert!(write(&folder.path().join("a"), "").is_err());
    }
}
