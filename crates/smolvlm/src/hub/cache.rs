//! One repository in the cache, in the layout of huggingface_hub: `blobs/<etag>` holds contents,
//! `snapshots/<commit>/<file>` links to them, `refs/<revision>` holds the commit of a branch or tag.

use super::HubError;
use super::names::is_commit;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks at a lock that another process holds.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// One repository in the cache.
pub(super) struct RepoCache {
    root: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    /// The place of a repository whose id has been checked. Makes nothing.
    pub(super) fn new(cache: &Path, repo: &str) -> Self {
        let name = format!("models--{}", repo.replace('/', "--"));
        Self { root: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The contents with this etag.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// The beginning of contents that have not arrived in full.
    pub(super) fn part(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The commit that a revision was when it was last fetched; a commit is itself.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
        Some(text.trim()).filter(|text| is_commit(text)).map(str::to_owned)
    }

    /// Notes the commit of a revision.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        make_parent(&path)?;
        fs::write(&path, commit).map_err(HubError::io(path))
    }

    /// Waits until this process alone may fetch the contents with this etag, as long as the process that does so makes
    /// progress within `patience`. The lock lasts as long as the file.
    pub(super) fn lock(&self, etag: &str, patience: Duration) -> Result<File, HubError> {
        let path = self.locks.join(format!("{etag}.lock"));
        make_parent(&path)?;
        let lock = File::create(&path).map_err(HubError::io(&path))?;
        let arrived = || fs::metadata(self.part(etag)).map(|part| part.len()).ok();
        let mut seen = arrived();
        let mut since = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                // Some network file systems have no locks; whoever shares one relies on the checks of what arrives.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => return Ok(lock),
                Err(TryLockError::Error(error)) => return Err(HubError::io(path)(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            let now = arrived();
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > patience {
                return Err(HubError::Locked { path });
            }
            thread::sleep(LOCK_POLL);
        }
    }

    /// Gives contents that have arrived in full their name.
    pub(super) fn publish(&self, etag: &str) -> Result<(), HubError> {
        let blob = self.blob(etag);
        fs::rename(self.part(etag), &blob).map_err(HubError::io(blob))
    }

    /// Puts a file of a commit in its folder: a link to the contents with this etag.
    pub(super) fn link(&self, commit: &str, name: &str, etag: &str) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(name);
        make_parent(&path)?;
        if path.is_file() {
            return Ok(());
        }
        // Made elsewhere and moved in: whoever looks meanwhile sees the file or a dead link, never a gap.
        static LINKS: AtomicU64 = AtomicU64::new(0);
        let number = LINKS.fetch_add(1, Ordering::Relaxed);
        let fresh = self.blob(&format!("{etag}.{}-{number}.link", std::process::id()));
        self.link_blob(name, etag, &fresh).map_err(HubError::io(&fresh))?;
        fs::rename(&fresh, &path).map_err(HubError::io(path))
    }

    /// A relative link, so that the cache can be moved.
    #[cfg(unix)]
    fn link_blob(&self, name: &str, etag: &str, path: &Path) -> std::io::Result<()> {
        let up = "../".repeat(2 + name.matches('/').count());
        std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), path)
    }

    /// A second name of the same contents: symbolic links need a privilege on Windows.
    #[cfg(not(unix))]
    fn link_blob(&self, _name: &str, etag: &str, path: &Path) -> std::io::Result<()> {
        fs::hard_link(self.blob(etag), path)
    }
}

/// Makes the folder that a path is in.
pub(super) fn make_parent(path: &Path) -> Result<(), HubError> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder).map_err(HubError::io(folder)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_huggingface_hub() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(folder.path(), "owner/name");
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let blob = cache.blob("etag");
        assert_eq!(blob, folder.path().join("models--owner--name/blobs/etag"));
        make_parent(&blob).unwrap();
        fs::write(cache.part("etag"), "text").unwrap();
        cache.publish("etag").unwrap();
        for name in ["config.json", "chat_templates/a.jinja"] {
            cache.link(commit, name, "etag").unwrap();
            // Once more, over what is there.
            cache.link(commit, name, "etag").unwrap();
            let path = folder.path().join("models--owner--name/snapshots").join(commit).join(name);
            assert_eq!(fs::read_to_string(path).unwrap(), "text");
        }

        assert_eq!(cache.commit("refs/pr/1"), None);
        cache.set_commit("refs/pr/1", commit).unwrap();
        assert_eq!(cache.commit("refs/pr/1").as_deref(), Some(commit));
        assert!(folder.path().join("models--owner--name/refs/refs/pr/1").is_file());
        assert_eq!(cache.commit(commit).as_deref(), Some(commit));
        fs::write(folder.path().join("models--owner--name/refs/broken"), "../../x").unwrap();
        assert_eq!(cache.commit("broken"), None);
    }

    #[test]
    fn a_lock_is_waited_for_while_its_holder_makes_progress() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(folder.path(), "owner/name");
        make_parent(&cache.part("etag")).unwrap();
        let patience = Duration::from_millis(400);

        let held = cache.lock("etag", patience).unwrap();
        assert!(matches!(cache.lock("etag", patience), Err(HubError::Locked { .. })));
        cache.lock("other", patience).unwrap();

        let part = cache.part("etag");
        let holder = thread::spawn(move || {
            for length in 1..=8 {
                thread::sleep(Duration::from_millis(100));
                fs::write(&part, vec![0; length]).unwrap();
            }
            drop(held);
        });
        cache.lock("etag", patience).unwrap();
        holder.join().unwrap();
    }
}
