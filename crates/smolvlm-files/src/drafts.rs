//! The registry of this process's drafts, for deleting them when it is interrupted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Prefix of the names of drafts.
pub(crate) const PREFIX: &str = ".smolvlm-";

static DRAFTS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Registration of an existing draft, file or folder, which ends on drop.
#[derive(Debug)]
pub(crate) struct Registered(PathBuf);

impl Registered {
    pub(crate) fn new(path: &Path) -> Self {
        // The working directory may have changed when a signal handler deletes the draft.
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

/// Deletes all drafts of this process, for Ctrl-C handlers that are about to exit. Committed files remain.
pub fn discard_drafts() {
    for path in std::mem::take(&mut *drafts()) {
        delete(&path);
    }
}

/// Deletes the drafts that killed processes left in a folder.
pub(crate) fn delete_leftovers(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_draft(&entry.path())) {
        delete(&entry.path());
    }
}

/// Whether a path has the name of a draft.
pub fn is_draft(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
}

/// Deletes a file or a folder. Errors are ignored, since leftover drafts are harmless.
fn delete(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn drafts() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    DRAFTS.lock().unwrap_or_else(PoisonError::into_inner)
}
