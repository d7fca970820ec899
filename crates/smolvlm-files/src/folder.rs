//! Writing the files of a folder together: into a temporary folder first, from which they replace the old ones.

use crate::drafts::{PREFIX, Registered, delete_leftovers};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempDir};

/// A temporary folder whose files replace the old files of a folder once all of them are complete.
#[derive(Debug)]
pub struct DraftFolder {
    scratch: TempDir,
    folder: PathBuf,
    _registered: Registered,
}

impl DraftFolder {
    /// Creates the temporary folder inside `folder`, which is created if it does not exist. Dropping the draft deletes
    /// it. Drafts already in `folder` are leftovers of killed processes and are deleted.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created or written.
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        delete_leftovers(folder);
        let scratch = Builder::new().prefix(PREFIX).tempdir_in(folder)?;
        let _registered = Registered::new(scratch.path());
        Ok(Self { scratch, folder: folder.to_owned(), _registered })
    }

    /// Path of the temporary folder.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Moves the files into the folder and deletes the old files for which `is_old` is true; subfolders remain. The
    /// file `last` does not exist while the others change, so that a folder that contains it is complete.
    ///
    /// # Errors
    ///
    /// When a file cannot be moved or deleted.
    pub fn commit(self, last: &str, is_old: impl Fn(&Path) -> bool) -> io::Result<()> {
        let new = files(self.path())?;
        let old: Vec<PathBuf> = files(&self.folder)?
            .into_iter()
            .filter(|name| !new.contains(name))
            .map(|name| self.folder.join(name))
            .filter(|path| is_old(path))
            .collect();
        match fs::remove_file(self.folder.join(last)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        old.iter().try_for_each(fs::remove_file)?;
        let move_file = |name: &OsStr| fs::rename(self.path().join(name), self.folder.join(name));
        new.iter().filter(|name| *name != last).try_for_each(|name| move_file(name))?;
        if new.iter().any(|name| name == last) { move_file(last.as_ref()) } else { Ok(()) }
    }
}

/// Names of the files and links in a folder.
fn files(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            names.push(entry.file_name());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::DraftFolder;
    use std::fs;

    #[test]
    fn leftover_drafts_of_killed_processes_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let killed = folder.path().join(".smolvlm-killed");
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join("half"), "half").unwrap();
        fs::write(folder.path().join(".other"), "stays").unwrap();
        let draft = DraftFolder::new(folder.path()).unwrap();
        fs::write(draft.path().join("file"), "all").unwrap();
        draft.commit("file", |_| false).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".other", "file"]);
    }
}
