//! Writing of features to the cache on disk, on a thread of its own: a slow disk does not delay answers.

use super::Key;
use super::folder::Folder;
use super::options::Warn;
use super::record::Record;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Tiles that wait to be written, at most: two batches of the vision encoder on a GPU, 9 MB of the 256M model. Others
/// are not saved.
const QUEUE: usize = 64;

/// The folder is listed once per this fraction of its bound that is written. Files of other processes are found then,
/// so each of them may exceed the bound by as much.
const LISTED_PER: u64 = 16;

/// The thread that writes. Dropping it waits for the tiles in the queue.
#[derive(Debug)]
pub(super) struct WriterThread {
    /// None only while it is dropped.
    queue: Option<SyncSender<(Key, Vec<f32>)>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterThread {
    /// Starts the thread. `warn` receives the first error: the next tile may succeed, and answers do not depend on it.
    pub(super) fn start(mut writer: Writer, warn: Warn) -> io::Result<Self> {
        let (queue, tiles) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("smolvlm-features".to_owned());
        let thread = thread.spawn(move || writer.run(&tiles, &warn))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues the features of a tile, unless the queue is full.
    pub(super) fn write(&self, key: Key, values: Vec<f32>) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send((key, values));
        }
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic loses the tiles in the queue, and no more.
            let _ = thread.join();
        }
    }
}

/// Writes files and keeps their size within a bound.
#[derive(Debug)]
pub(super) struct Writer {
    folder: Folder,
    record: Record,
    max_bytes: u64,
    /// Bytes that may be written until the folder is listed again.
    left: u64,
}

impl Writer {
    pub(super) fn new(folder: Folder, record: Record, max_bytes: u64) -> Self {
        Self { folder, record, max_bytes, left: 0 }
    }

    fn run(&mut self, tiles: &Receiver<(Key, Vec<f32>)>, warn: &Warn) {
        // The bound may be smaller than in the run before.
        let mut result = self.make_room();
        let mut has_warned = false;
        loop {
            if let Err(error) = &result
                && !std::mem::replace(&mut has_warned, true)
            {
                let folder = self.folder.path().display();
                warn.call(&format!("the feature cache {folder} is not written, and images are encoded again: {error}"));
            }
            let Ok((key, values)) = tiles.recv() else { return };
            result = self.write(&key, &values);
        }
    }

    /// Writes the features of a tile; nothing if the bound is smaller than one file.
    fn write(&mut self, key: &Key, values: &[f32]) -> io::Result<()> {
        let len = self.record.len() as u64;
        let Some(bytes) = self.record.encode(key, values).filter(|_| len <= self.max_bytes) else { return Ok(()) };
        if self.left < len {
            self.make_room()?;
        }
        self.folder.write(&self.folder.file(self.record.fingerprint(), key), &bytes)?;
        self.left -= len;
        Ok(())
    }

    /// Deletes files until there is room for the ones to come.
    fn make_room(&mut self) -> io::Result<()> {
        let room = (self.max_bytes / LISTED_PER).max(self.record.len() as u64);
        match self.folder.shrink(self.max_bytes.saturating_sub(room)) {
            // A deleted folder is created again by the next file.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.left = room,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Warn, Writer, WriterThread};
    use crate::FeatureCacheOptions;
    use crate::features::folder::Folder;
    use crate::features::record::Record;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};
    use std::{env, fs, thread};

    /// Large enough that writing a file takes as long as anything else.
    const SHAPE: [usize; 2] = [64, 576];
    /// The folder in which a test that was started by itself writes.
    const FOLDER: &str = "SMOLVLM_TEST_FEATURES";

    fn record() -> Record {
        Record::new([7; 32], SHAPE)
    }

    fn writer(path: &Path, files: u64) -> Writer {
        Writer::new(Folder::open(path).unwrap(), record(), files * record().len() as u64)
    }

    fn values(key: u8) -> Vec<f32> {
        vec![f32::from(key) + 0.5; SHAPE[0] * SHAPE[1]]
    }

    /// Whether the features of a tile are in the folder. If so, they must be the right ones.
    fn is_cached(folder: &Folder, key: u8) -> bool {
        let bytes = folder.read(&folder.file(&[7; 32], &[key; 32]), record().len());
        let found = bytes.map(|bytes| record().decode(&[key; 32], &bytes));
        assert!(found.is_none() || found == Some(Some(values(key))), "the file of tile {key} is damaged");
        found.is_some()
    }

    fn bytes(path: &Path) -> u64 {
        fs::read_dir(path).unwrap().filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
    }

    /// Another process that writes tiles 0 to 15 again and again, until it is killed.
    struct Other(Child);

    impl Other {
        /// Starts `test`, which must call [`write_if_started`].
        fn start(test: &str, path: &Path) -> Self {
            let mut command = Command::new(env::current_exe().unwrap());
            command.args(["--exact", &format!("features::writer::tests::{test}")]).env(FOLDER, path);
            Self(command.stdout(Stdio::null()).spawn().unwrap())
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    /// Writes, if this process was started for that.
    fn write_if_started() {
        let Some(path) = env::var_os(FOLDER) else { return };
        let mut writer = writer(Path::new(&path), 12);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            (0..16).for_each(|key| writer.write(&[key; 32], &values(key)).unwrap());
        }
        unreachable!("this process should have been killed");
    }

    fn wait_until(is_done: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_done() {
            assert!(start.elapsed() < Duration::from_secs(30), "the other process does not write");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn killed_writer_leaves_nothing_that_the_next_start_keeps() {
        write_if_started();
        let root = tempfile::tempdir().unwrap();
        let is_draft = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".tmp");
        let drafts = || fs::read_dir(root.path()).unwrap().flatten().filter(is_draft).count();
        let (mut kills, mut interrupted) = (0_u64, 0);
        while kills < 8 || interrupted == 0 {
            kills += 1;
            assert!(kills <= 200, "no kill has interrupted a write");
            let other = Other::start("killed_writer_leaves_nothing_that_the_next_start_keeps", root.path());
            let folder = Folder::open(root.path()).unwrap();
            wait_until(|| (0..16).any(|key| is_cached(&folder, key)));
            thread::sleep(Duration::from_micros(kills * 1_777 % 5_000));
            drop(other);
            interrupted += drafts();
            let folder = Folder::open(root.path()).unwrap();
            assert_eq!(drafts(), 0);
            let cached = (0..16).filter(|&key| is_cached(&folder, key)).count();
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), cached);
            // The next process is killed after it has written a file, too.
            folder.shrink(0).unwrap();
        }
    }

    #[test]
    fn processes_share_a_folder() {
        write_if_started();
        let root = tempfile::tempdir().unwrap();
        let other = Other::start("processes_share_a_folder", root.path());
        let mut own = writer(root.path(), 12);
        let folder = Folder::open(root.path()).unwrap();
        wait_until(|| (0..16).any(|key| is_cached(&folder, key)));
        let mut found = 0;
        for _ in 0..50 {
            // Some tiles are written by both processes, and tile 20 by this one only.
            [0, 1, 20].into_iter().for_each(|key| own.write(&[key; 32], &values(key)).unwrap());
            found += (2..16).filter(|&key| is_cached(&folder, key)).count();
        }
        assert!(found > 50, "{found} tiles of the other process");
        drop(other);
        own.make_room().unwrap();
        assert!(bytes(root.path()) <= 12 * record().len() as u64);
    }

    #[test]
    fn size_never_exceeds_the_bound() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        for files in [1, 5, 40] {
            let mut writer = writer(root.path(), files);
            for key in 0..60 {
                writer.write(&[key; 32], &values(key)).unwrap();
                assert!(bytes(root.path()) <= files * record().len() as u64, "{files} files, tile {key}");
                assert!(is_cached(&folder, key));
            }
            assert!(bytes(root.path()) >= (files - files / 8) * record().len() as u64, "{files} files");
        }
        // A smaller bound takes effect on the next start, one smaller than a file turns the cache off.
        let thread = |max_bytes| {
            let writer = Writer::new(folder.clone(), record(), max_bytes);
            WriterThread::start(writer, FeatureCacheOptions::new("").warn).unwrap()
        };
        drop(thread(3 * record().len() as u64));
        assert!(bytes(root.path()) <= 3 * record().len() as u64);
        let off = thread(record().len() as u64 - 1);
        off.write([70; 32], values(70));
        drop(off);
        assert_eq!(bytes(root.path()), 0);
    }

    #[test]
    fn failed_writes_warn_once_and_are_tried_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cache");
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&warnings);
        let warn: Warn =
            FeatureCacheOptions::new("").on_warning(move |text| heard.lock().unwrap().push(text.to_owned())).warn;
        let writer = writer(&path, 10);
        let folder = Folder::open(&path).unwrap();
        let thread = WriterThread::start(writer, warn).unwrap();
        thread.write([0; 32], values(0));
        wait_until(|| is_cached(&folder, 0));
        // A file in place of the folder.
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "").unwrap();
        (1..4).for_each(|key| thread.write([key; 32], values(key)));
        wait_until(|| !warnings.lock().unwrap().is_empty());
        fs::remove_file(&path).unwrap();
        thread.write([4; 32], values(4));
        drop(thread);
        assert!(is_cached(&folder, 4));
        let warnings = warnings.lock().unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(&path.display().to_string()), "{warnings:?}");
    }
}
