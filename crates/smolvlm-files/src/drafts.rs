//! The drafts of this process, so that one that is interrupted leaves none behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How the names of drafts begin.
pub(crate) const PREFIX: &str = ".smolvlm-";

static DRAFTS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A draft that exists, file or folder, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registered(PathBuf);

impl Registered {
    pub(crate) fn new(path: &Path) -> Self {
        // A handler may run when the working directory has changed.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        drafts().insert(path.clone());
        Self(path)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        drafts().remove(&self.0);
    }
}

/// Deletes all drafts of this process, which is about to end: for handlers of Ctrl-C. What has been committed stays.
pub fn discard_drafts() {
    for path in std::mem::take(&mut *drafts()) {
        delete(&path);
    }
}

/// Deletes the drafts that processes which were killed have left in a folder.
pub(crate) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_draft(&entry.path())) {
        delete(&entry.path());
    }
}

/// Whether a path is a draft's, by its name.
pub fn is_draft(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
}

/// Deletes a file or a folder. What cannot be deleted stays: it is in nobody's way.
fn delete(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn drafts() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    DRAFTS.lock().unwrap_or_else(PoisonError::into_inner)
}
