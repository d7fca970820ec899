//! One repository in the cache, in the layout of huggingface_hub: `blobs/<etag>` holds contents, `snapshots/<commit>/<file>`
//! links to them, `refs/<revision>` holds the commit of a branch or tag. Where there are no links, the contents are in
//! `snapshots/` themselves and `blobs/` is empty.

use super::HubError;
use super::names::{is_commit, is_hex};
use super::object::Object;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Time between two looks at a lock that another process holds.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// One repository in the cache.
pub(super) struct RepoCache {
    root: PathBuf,
    locks: PathBuf,
    /// Whether links are tried.
    links: bool,
}

impl RepoCache {
    /// The place of a repository whose id has been checked. Makes nothing.
    pub(super) fn new(cache: &Path, repo: &str, links: bool) -> Self {
        let name = format!("models--{}", repo.replace('/', "--"));
        Self { root: cache.join(&name), locks: cache.join(".locks").join(name), links }
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The contents with this etag.
    fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// The beginning of contents that have not arrived in full.
    pub(super) fn part(&self, object: &Object) -> PathBuf {
        self.blob(&format!("{}.incomplete", object.oid))
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

    /// The etag of contents that are here already.
    pub(super) fn etag(&self, object: &Object) -> Option<String> {
        let holds = |path: &Path| fs::metadata(path).is_ok_and(|blob| blob.is_file() && blob.len() == object.size);
        if !object.is_large() {
            return holds(&self.blob(&object.oid)).then(|| object.oid.clone());
        }
        // The etag of a large file is its SHA-256, of which the listing tells only what it leads to.
        let blobs = fs::read_dir(self.root.join("blobs")).ok()?;
        let named = blobs.flatten().filter(|entry| holds(&entry.path()));
        let mut names = named.filter_map(|entry| entry.file_name().into_string().ok());
        names.find(|name| is_hex(name, 64) && object.has_sha256(name))
    }

    /// Waits until this process alone may fetch contents, as long as the process that does so makes progress within
    /// `patience`. The lock lasts as long as the file.
    pub(super) async fn lock(&self, object: &Object, patience: Duration) -> Result<File, HubError> {
        let path = self.locks.join(format!("{}.lock", object.oid));
        make_parent(&path)?;
        let lock = File::create(&path).map_err(HubError::io(&path))?;
        let arrived = || fs::metadata(self.part(object)).map(|part| part.len()).ok();
        let mut seen = arrived();
        let mut since = Instant::now();
        loop {
            match lock.try_lock() {
                // Some file systems have no locks; whoever shares one relies on the checks of what arrives.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {}
            }
            let now = arrived();
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > patience {
                return Err(HubError::Locked { path });
            }
            sleep(LOCK_POLL).await;
        }
    }

    /// Puts contents that have arrived in full, and were verified, in a commit's folder.
    pub(super) fn publish(&self, commit: &str, name: &str, part: &Path, etag: &str) -> Result<(), HubError> {
        let blob = self.blob(etag);
        fs::rename(part, &blob).map_err(HubError::io(&blob))?;
        self.place(commit, name, etag, |blob, path| fs::rename(blob, path))
    }

    /// Puts contents that are here already in a commit's folder.
    pub(super) fn reuse(&self, commit: &str, name: &str, etag: &str) -> Result<(), HubError> {
        self.place(commit, name, etag, |blob, path| {
            let copy = self.fresh(etag);
            fs::copy(blob, &copy)?;
            fs::rename(copy, path)
        })
    }

    /// Links a file of a commit to its contents, or does `instead` where that cannot be done.
    fn place(
        &self,
        commit: &str,
        name: &str,
        etag: &str,
        instead: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(name);
        make_parent(&path)?;
        if self.links && self.link(name, etag, &path).is_ok() {
            return Ok(());
        }
        instead(&self.blob(etag), &path).map_err(HubError::io(path))
    }

    /// A relative link, so that the cache can be moved. Made elsewhere and moved in: whoever looks meanwhile sees the file or
    /// a dead link, never a gap.
    fn link(&self, name: &str, etag: &str, path: &Path) -> io::Result<()> {
        let fresh = self.fresh(etag);
        let up = "../".repeat(2 + name.matches('/').count());
        symlink(&format!("{up}blobs/{etag}"), &fresh)?;
        fs::rename(&fresh, path)
    }

    /// A path in `blobs/` that nobody else uses.
    fn fresh(&self, etag: &str) -> PathBuf {
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

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn object() -> Object {
        Object::new(&"ab".repeat(20), 4, false).unwrap()
    }

    /// Runs what waits.
    fn wait<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn the_layout_is_that_of_huggingface_hub() {
        for links in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let cache = RepoCache::new(folder.path(), "owner/name", links);
            let root = folder.path().join("models--owner--name");
            let (object, etag) = (object(), "ab".repeat(20));
            assert_eq!(cache.etag(&object), None);
            for name in ["config.json", "chat_templates/a.jinja"] {
                let part = cache.part(&object);
                make_parent(&part).unwrap();
                match cache.etag(&object) {
                    Some(etag) => cache.reuse(COMMIT, name, &etag).unwrap(),
                    None => {
                        fs::write(&part, "text").unwrap();
                        cache.publish(COMMIT, name, &part, &etag).unwrap();
                    }
                }
                let path = root.join("snapshots").join(COMMIT).join(name);
                assert_eq!(fs::read_to_string(&path).unwrap(), "text");
                assert_eq!(path.is_symlink(), links && cfg!(unix));
            }
            assert_eq!(root.join("blobs").join(&etag).is_file(), links && cfg!(unix));
        }
    }

    #[test]
    fn contents_of_a_cache_with_links_serve_one_without() {
        let folder = tempfile::tempdir().unwrap();
        let cache = |links| RepoCache::new(folder.path(), "owner/name", links);
        make_parent(&cache(true).part(&object())).unwrap();
        fs::write(cache(true).blob(&"ab".repeat(20)), "text").unwrap();
        let etag = cache(false).etag(&object()).unwrap();
        cache(false).reuse(COMMIT, "config.json", &etag).unwrap();
        assert!(!cache(false).snapshot(COMMIT).join("config.json").is_symlink());
        assert!(cache(true).blob(&etag).is_file(), "another commit's links need it");
    }

    #[test]
    fn large_contents_are_found_by_what_their_name_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(folder.path(), "owner/name", true);
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        // The pointer `version ...\noid sha256:ba78...\nsize 3\n`, as `git hash-object` names it.
        let object = Object::new("80d7d501c2b256023dc42e46d958b9ac2ec283ee", 3, true).unwrap();
        make_parent(&cache.part(&object)).unwrap();
        fs::write(cache.blob(sha256), "abc").unwrap();
        assert_eq!(cache.etag(&object).as_deref(), Some(sha256));
        fs::write(cache.blob(sha256), "ab").unwrap();
        assert_eq!(cache.etag(&object), None, "its size is wrong");
    }

    #[test]
    fn revisions_have_commits() {
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
    fn a_lock_is_waited_for_while_its_holder_makes_progress() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(folder.path(), "owner/name", true);
        let object = object();
        make_parent(&cache.part(&object)).unwrap();
        let patience = Duration::from_millis(400);

        let held = wait(cache.lock(&object, patience)).unwrap();
        assert!(matches!(wait(cache.lock(&object, patience)), Err(HubError::Locked { .. })));
        wait(cache.lock(&Object::new(&"cd".repeat(20), 4, false).unwrap(), patience)).unwrap();

        let part = cache.part(&object);
        let holder = std::thread::spawn(move || {
            for length in 1..=8 {
                std::thread::sleep(Duration::from_millis(100));
                fs::write(&part, vec![0; length]).unwrap();
            }
            drop(held);
        });
        wait(cache.lock(&object, patience)).unwrap();
        holder.join().unwrap();
    }
}
