//! Writing a folder of files in two steps: a draft inside it, then its files in place of old ones.

use crate::drafts::{PREFIX, Registered, sweep};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempDir};

/// A scratch folder whose files take the place of a folder's old ones when all of them are complete.
#[derive(Debug)]
pub struct DraftFolder {
    scratch: TempDir,
    folder: PathBuf,
    _registered: Registered,
}

impl DraftFolder {
    /// Makes the scratch folder inside `folder`, which is made if need be. Dropping the draft deletes it. Scratch folders that
    /// are there already were left by processes that were killed, and are deleted.
    ///
    /// # Errors
    ///
    /// A folder that cannot be made or written.
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        sweep(folder);
        let scratch = Builder::new().prefix(PREFIX).tempdir_in(folder)?;
        let _registered = Registered::new(scratch.path());
        Ok(Self { scratch, folder: folder.to_owned(), _registered })
    }

    /// The folder to be filled with files.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Moves the files into the folder and deletes old files for which `is_old` is true; folders in it stay. The file
    /// `last` is absent while the others change: a folder that has it is complete.
    ///
    /// # Errors
    ///
    /// Those of moving and deleting.
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
        let place = |name: &OsStr| fs::rename(self.path().join(name), self.folder.join(name));
        new.iter().filter(|name| *name != last).try_for_each(|name| place(name))?;
        if new.iter().any(|name| name == last) { place(last.as_ref()) } else { Ok(()) }
    }
}

/// Names of a folder's files and links.
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
    fn drafts_of_processes_that_were_killed_are_deleted() {
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
