//! The folder of a feature cache: files that processes share, and the bound on their size.
//!
//! A file is written under a temporary name and renamed, so that readers see all of it or nothing. It is not flushed to
//! the disk: after a power failure its checksum is wrong, and it is encoded again.

use super::Key;
use super::fingerprint::Fingerprint;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, DirEntry, File};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tempfile::{Builder, NamedTempFile};

/// Bytes of the fingerprint in a name; the checksum covers the others.
const FINGERPRINT: usize = 16;
const SUFFIX: &str = ".features";
/// The names of files that are being written start and end like this.
const DRAFT: (&str, &str) = (".smolvlm-", ".tmp");

/// A folder that exists and can be written. Only files with names of this module are read or deleted in it, never
/// links.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Opens a folder, creating it for this user only if it does not exist. Deletes the files that killed processes
    /// left half-written; a process that is just writing one loses it, and no more.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created or written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // The working directory may change later. An empty path is an error.
        let folder = Self(std::path::absolute(path)?);
        folder.create()?;
        drop(folder.draft()?);
        let leftovers = folder.entries()?.filter(|entry| is_draft(&entry.file_name().to_string_lossy()));
        leftovers.for_each(|entry| folder.delete(&entry.path()));
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a tile's features.
    pub(super) fn file(&self, fingerprint: &Fingerprint, key: &Key) -> PathBuf {
        self.0.join(format!("{}-{}{SUFFIX}", hex(&fingerprint[..FINGERPRINT]), hex(key)))
    }

    /// Reads a file that must have `len` bytes, and marks it as used. One of another size is deleted.
    pub(super) fn read(&self, path: &Path, len: usize) -> Option<Vec<u8>> {
        // A link or a pipe is not opened.
        let found = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
        if found.len() != len as u64 {
            self.delete(path);
            return None;
        }
        let mut file = File::open(path).ok()?;
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes).ok()?;
        // If the time cannot be set, the order of deletion is that of writing.
        let _ = file.set_modified(SystemTime::now());
        Some(bytes)
    }

    /// Writes a file, or replaces it. Creates the folder again if it was deleted. While other processes open the
    /// folder, the file may get lost.
    ///
    /// # Errors
    ///
    /// When it cannot be written. Nothing of it remains.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let write = || {
            let mut draft = self.draft()?;
            draft.write_all(bytes)?;
            draft.persist(path)?;
            Ok(())
        };
        // Someone has deleted the folder, or the draft as a leftover.
        let is_lost = |result: &io::Result<()>| result.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        let written = write();
        if !is_lost(&written) {
            return written;
        }
        self.create()?;
        let again = write();
        if is_lost(&again) { Ok(()) } else { again }
    }

    /// Deletes a file. Errors are ignored: another process may have done so, and the next one tries again.
    pub(super) fn delete(&self, path: &Path) {
        let _ = fs::remove_file(path);
    }

    /// Deletes the least recently used files, of any model, until the others have at most `max_bytes`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be listed.
    pub(super) fn shrink(&self, max_bytes: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = self
            .entries()?
            .filter(|entry| is_tile(&entry.file_name().to_string_lossy()))
            .filter_map(|entry| {
                let found = entry.metadata().ok()?;
                Some((found.modified().ok()?, found.len(), entry.path()))
            })
            .collect();
        files.sort_unstable();
        let mut bytes: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if bytes <= max_bytes {
                break;
            }
            self.delete(&path);
            bytes -= len;
        }
        Ok(())
    }

    fn create(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&self.0)
    }

    /// A temporary file, which only this user can read. Dropping it deletes it.
    fn draft(&self) -> io::Result<NamedTempFile> {
        Builder::new().prefix(DRAFT.0).suffix(DRAFT.1).tempfile_in(&self.0)
    }

    /// The files in the folder, without links.
    fn entries(&self) -> io::Result<impl Iterator<Item = DirEntry>> {
        let is_file = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        Ok(fs::read_dir(&self.0)?.flatten().filter(is_file))
    }
}

/// Whether a file has the name of a tile's features.
fn is_tile(name: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts = name.strip_suffix(SUFFIX).and_then(|name| name.split_once('-'));
    parts.is_some_and(|(fingerprint, key)| {
        (fingerprint.len(), key.len()) == (2 * FINGERPRINT, 64) && is_hex(fingerprint) && is_hex(key)
    })
}

/// Whether a file has the name of one that is being written.
fn is_draft(name: &str) -> bool {
    name.starts_with(DRAFT.0) && name.ends_with(DRAFT.1)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::Folder;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime};
    use tempfile::TempDir;

    fn folder() -> (TempDir, Folder) {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(&root.path().join("a/b")).unwrap();
        (root, folder)
    }

    /// Files of 100 bytes, the first one written last.
    fn files(folder: &Folder, count: u8) -> Vec<PathBuf> {
        let files: Vec<PathBuf> = (0..count).map(|key| folder.file(&[7; 32], &[key; 32])).collect();
        for (age, path) in files.iter().enumerate() {
            folder.write(path, &[1; 100]).unwrap();
            set_age(path, age as u64);
        }
        files
    }

    fn set_age(path: &Path, minutes: u64) {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60 * minutes)).unwrap();
    }

    fn exist(files: &[PathBuf]) -> Vec<bool> {
        files.iter().map(|path| path.exists()).collect()
    }

    #[test]
    fn least_recently_used_files_are_deleted_first() {
        let (_root, folder) = folder();
        let files = files(&folder, 5);
        assert_eq!(folder.read(&files[4], 100).unwrap(), [1; 100]);
        folder.shrink(350).unwrap();
        assert_eq!(exist(&files), [true, true, false, false, true]);
        folder.shrink(350).unwrap();
        assert_eq!(exist(&files), [true, true, false, false, true]);
    }

    #[test]
    fn other_files_stay() {
        let (root, folder) = folder();
        let names =
            ["notes.txt", ".smolvlm-x", "x.tmp", "0-1.features", &format!("{}-{}", "a".repeat(32), "b".repeat(64))];
        let others = names.map(|name| folder.path().join(name));
        others.iter().for_each(|path| fs::write(path, [1; 100]).unwrap());
        fs::create_dir(folder.path().join(".smolvlm-folder.tmp")).unwrap();
        folder.shrink(0).unwrap();
        Folder::open(folder.path()).unwrap();
        assert_eq!(exist(&others), [true; 5]);
        assert!(folder.path().join(".smolvlm-folder.tmp").is_dir());
        drop(root);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let (root, folder) = folder();
        let (target, link) = (root.path().join("target"), folder.file(&[7; 32], &[1; 32]));
        fs::write(&target, [1; 100]).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        for len in [100, 50] {
            assert_eq!(folder.read(&link, len), None);
        }
        folder.shrink(0).unwrap();
        assert!(link.is_symlink());
        let draft = folder.path().join(".smolvlm-x.tmp");
        std::os::unix::fs::symlink(&target, &draft).unwrap();
        Folder::open(folder.path()).unwrap();
        assert!(draft.is_symlink());
        // Writing replaces the link, not its target.
        folder.write(&link, &[2; 100]).unwrap();
        assert_eq!((folder.read(&link, 100), fs::read(&target).unwrap()), (Some(vec![2; 100]), vec![1; 100]));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_files() {
        use std::os::unix::fs::PermissionsExt;
        let (_root, folder) = folder();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&files(&folder, 1)[0])), (0o700, 0o600));
    }

    #[test]
    fn files_of_another_size_are_deleted() {
        let (_root, folder) = folder();
        let files = files(&folder, 1);
        assert_eq!(folder.read(&files[0], 101), None);
        assert_eq!(exist(&files), [false]);
        assert_eq!(folder.read(&files[0], 100), None);
    }

    #[test]
    fn deleted_folder_is_created_again() {
        let (root, folder) = folder();
        fs::remove_dir_all(root.path().join("a")).unwrap();
        assert!(folder.shrink(0).is_err());
        let files = files(&folder, 1);
        assert_eq!(folder.read(&files[0], 100).unwrap(), [1; 100]);
    }

    #[test]
    fn failed_write_leaves_nothing() {
        let (_root, folder) = folder();
        let path = folder.file(&[7; 32], &[1; 32]);
        // A file cannot replace a folder.
        fs::create_dir_all(path.join("inside")).unwrap();
        assert!(folder.write(&path, &[1; 100]).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn paths_that_cannot_be_folders_are_errors() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.as_path(), &file.join("below"), Path::new("")] {
            assert!(Folder::open(path).is_err(), "{}", path.display());
        }
    }
}
