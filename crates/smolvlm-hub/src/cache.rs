//! One repository in the cache, in the layout of huggingface_hub: `blobs/<etag>` holds file contents,
//! `snapshots/<commit>/<file>` links to them, and `refs/<revision>` holds the commit of a branch or tag. Without
//! symlinks, `snapshots/` holds the contents and `blobs/` is empty.

use super::HubError;
use super::names::{is_commit, is_hex};
use super::object::Object;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Interval between attempts to take a lock that another process holds.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// One repository in the cache.
pub(super) struct RepoCache {
    root: PathBuf,
    locks: PathBuf,
    /// Whether to try to create symlinks.
    symlinks: bool,
}

impl RepoCache {
    /// The cache of a repository with a checked id. Creates no files.
    pub(super) fn new(cache: &Path, repo: &str, symlinks: bool) -> Self {
        let name = format!("models--{}", repo.replace('/', "--"));
        Self { root: cache.join(&name), locks: cache.join(".locks").join(name), symlinks }
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The path of the contents with this etag.
    fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// The path of an incomplete download.
    pub(super) fn part(&self, object: &Object) -> PathBuf {
        self.blob(&format!("{}.incomplete", object.oid))
    }

    /// The commit of a revision when it was last fetched. The revision may itself be a commit.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
        Some(text.trim()).filter(|text| is_commit(text)).map(str::to_owned)
    }

    /// Records the commit of a revision.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        create_parent(&path)?;
        fs::write(&path, commit).map_err(HubError::io(path))
    }

    /// The etag of contents that the cache already holds.
    pub(super) fn etag(&self, object: &Object) -> Option<String> {
        let has_size = |path: &Path| fs::metadata(path).is_ok_and(|blob| blob.is_file() && blob.len() == object.size);
        if !object.is_large() {
            return has_size(&self.blob(&object.oid)).then(|| object.oid.clone());
        }
        // The etag of a large file is its SHA-256. The listing has only the id of the Git LFS pointer, which contains
        // it.
        let blobs = fs::read_dir(self.root.join("blobs")).ok()?;
        let named = blobs.flatten().filter(|entry| has_size(&entry.path()));
        let mut names = named.filter_map(|entry| entry.file_name().into_string().ok());
        names.find(|name| is_hex(name, 64) && object.has_sha256(name))
    }

    /// Takes the lock for fetching an object. Waits while the process that holds it downloads new bytes within each
    /// `timeout`. Dropping the file releases the lock.
    pub(super) async fn lock(&self, object: &Object, timeout: Duration) -> Result<File, HubError> {
        let path = self.locks.join(format!("{}.lock", object.oid));
        create_parent(&path)?;
        let lock = File::create(&path).map_err(HubError::io(&path))?;
        let progress = || fs::metadata(self.part(object)).map(|part| part.len()).ok();
        let mut last = progress();
        let mut since = Instant::now();
        loop {
            match lock.try_lock() {
                // Some file systems do not support locks; there, verification alone protects the cache.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {}
            }
            let now = progress();
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > timeout {
                return Err(HubError::Locked { path });
            }
            sleep(LOCK_POLL).await;
        }
    }

    /// Moves a complete and verified download into the cache and adds it to a commit's folder.
    pub(super) fn publish(&self, commit: &str, name: &str, part: &Path, etag: &str) -> Result<(), HubError> {
        let blob = self.blob(etag);
        fs::rename(part, &blob).map_err(HubError::io(&blob))?;
        self.link_or(commit, name, etag, |blob, path| fs::rename(blob, path))
    }

    /// Adds contents that the cache already holds to a commit's folder.
    pub(super) fn reuse(&self, commit: &str, name: &str, etag: &str) -> Result<(), HubError> {
        self.link_or(commit, name, etag, |blob, path| {
            let copy = self.temporary(etag);
            fs::copy(blob, &copy)?;
            fs::rename(copy, path)
        })
    }

    /// Creates a symlink to the contents in a commit's folder, or calls `fallback(blob, path)` where that fails.
    fn link_or(
        &self,
        commit: &str,
        name: &str,
        etag: &str,
        fallback: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(name);
        create_parent(&path)?;
        if self.symlinks && self.link(name, etag, &path).is_ok() {
            return Ok(());
        }
        fallback(&self.blob(etag), &path).map_err(HubError::io(path))
    }

    /// Creates a relative symlink, so that the cache can be moved. Replaces an existing file atomically, by renaming.
    fn link(&self, name: &str, etag: &str, path: &Path) -> io::Result<()> {
        let temporary = self.temporary(etag);
        let up = "../".repeat(2 + name.matches('/').count());
        symlink(&format!("{up}blobs/{etag}"), &temporary)?;
        fs::rename(&temporary, path)
    }

    /// A unique temporary path in `blobs/`.
    fn temporary(&self, etag: &str) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        self.blob(&format!("{etag}.{}-{number}.new", std::process::id()))
    }
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target.replace('/', "\\"), path)
}

/// Creates the parent folder of a path.
pub(super) fn create_parent(path: &Path) -> Result<(), HubError> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder).map_err(HubError::io(folder)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn object() -> Object {
        Object::new(&"ab".repeat(20), 4, false).unwrap()
    }

    /// Runs a future to completion.
    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn the_layout_is_that_of_huggingface_hub() {
        for symlinks in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let cache = RepoCache::new(folder.path(), "owner/name", symlinks);
            let root = folder.path().join("models--owner--name");
            let (object, etag) = (object(), "ab".repeat(20));
            assert_eq!(cache.etag(&object), None);
            for name in ["config.json", "chat_templates/a.jinja"] {
                let part = cache.part(&object);
                create_parent(&part).unwrap();
                match cache.etag(&object) {
                    Some(etag) => cache.reuse(COMMIT, name, &etag).unwrap(),
                    None => {
                        fs::write(&part, "text").unwrap();
                        cache.publish(COMMIT, name, &part, &etag).unwrap();
                    }
                }
                let path = root.join("snapshots").join(COMMIT).join(name);
                assert_eq!(fs::read_to_string(&path).unwrap(), "text");
                assert_eq!(path.is_symlink(), symlinks && cfg!(unix));
            }
            assert_eq!(root.join("blobs").join(&etag).is_file(), symlinks && cfg!(unix));
        }
    }

    #[test]
    fn contents_fetched_with_symlinks_are_reused_without() {
        let folder = tempfile::tempdir().unwrap();
        let cache = |symlinks| RepoCache::new(folder.path(), "owner/name", symlinks);
        create_parent(&cache(true).part(&object())).unwrap();
        fs::write(cache(true).blob(&"ab".repeat(20)), "text").unwrap();
        let etag = cache(false).etag(&object()).unwrap();
        cache(false).reuse(COMMIT, "config.json", &etag).unwrap();
        assert!(!cache(false).snapshot(COMMIT).join("config.json").is_symlink());
        assert!(cache(true).blob(&etag).is_file(), "another commit's links need it");
    }

    #[test]
    fn large_contents_are_found_by_the_id_of_their_pointer() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(folder.path(), "owner/name", true);
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        // The pointer `version ...\noid sha256:ba78...\nsize 3\n`, hashed by `git hash-object`.
        let object = Object::new("80d7d501c2b256023dc42e46d958b9ac2ec283ee", 3, true).unwrap();
        create_parent(&cache.part(&object)).unwrap();
        fs::write(cache.blob(sha256), "abc").unwrap();
        assert_eq!(cache.etag(&object).as_deref(), Some(sha256));
        fs::write(cache.blob(sha256), "ab").unwrap();
        assert_eq!(cache.etag(&object), None, "a wrong size does not match");
    }

    #[test]
    fn refs_store_the_commit_of_a_revision() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(folder.path(), "owner/name", true);
        assert_eq!(cache.commit("refs/pr/1"), None);
        cache.set_commit("refs/pr/1", COMMIT).unwrap();
        assert_eq!(cache.commit("refs/pr/1").as_deref(), Some(COMMIT));
        assert!(folder.path().join("models--owner--name/refs/refs/pr/1").is_file());
        assert_eq!(cache.commit(COMMIT).as_deref(), Some(COMMIT));
        fs::write(folder.path().join("models--owner--name/refs/broken"), "../../x").unwrap();
        assert_eq!(cache.commit("broken"), None);
    }

    #[test]
    fn lock_waits_while_its_holder_makes_progress() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(folder.path(), "owner/name", true);
        let object = object();
        create_parent(&cache.part(&object)).unwrap();
        let timeout = Duration::from_millis(400);

        let held = block_on(cache.lock(&object, timeout)).unwrap();
        assert!(matches!(block_on(cache.lock(&object, timeout)), Err(HubError::Locked { .. })));
        block_on(cache.lock(&Object::new(&"cd".repeat(20), 4, false).unwrap(), timeout)).unwrap();

        let part = cache.part(&object);
        let holder = std::thread::spawn(move || {
            for length in 1..=8 {
                std::thread::sleep(Duration::from_millis(100));
                fs::write(&part, vec![0; length]).unwrap();
            }
            drop(held);
        });
        block_on(cache.lock(&object, timeout)).unwrap();
        holder.join().unwrap();
    }
}
