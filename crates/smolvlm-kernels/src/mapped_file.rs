//! Memory-mapped files whose resident pages can be released.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;

/// A read-only memory map of a regular file; dereferences to its bytes.
///
/// Pages are loaded on first access, so opening a file costs no memory.
/// [`release`](Self::release) frees resident pages, so that a loader can read a file larger than memory.
///
/// The file must not be truncated or rewritten while it is mapped: reading a page that no longer exists ends the
/// process (`SIGBUS` on Unix), and a reader may see a mix of old and new bytes. Replace a mapped file by renaming a new
/// one over it, which does not affect the mapping.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    ///
    /// Those of opening the file, and [`io::ErrorKind::InvalidInput`] when `path` is not a regular file (a folder, a
    /// pipe, a device).
    #[allow(unsafe_code)]
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        // Checked before opening: opening a pipe would wait for a writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        #[expect(unsafe_code, reason = "mapping a file; see SAFETY")]
        // SAFETY: the map is private to this value and only ever read, through `&[u8]`. What Rust cannot rule out is
        // another process changing the file meanwhile: bytes under a shared reference would then change or vanish. The
        // type's documentation requires the caller to prevent that; model files are written once and replaced by
        // renaming.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { map })
    }

    /// Advises the system that the bytes of `range` are not needed for now, so that their pages no longer count towards
    /// the resident memory of this process.
    ///
    /// They stay readable: the next access loads them from the file again. Parts of `range` past the end of the file
    /// are ignored. If the system rejects the advice, the pages merely stay resident. Does nothing outside Unix.
    #[allow(unsafe_code)]
    pub fn release(&self, range: Range<usize>) {
        let end = range.end.min(self.map.len());
        let start = range.start.min(end);
        #[cfg(unix)]
        if start < end {
            #[expect(unsafe_code, reason = "advice on mapped pages; see SAFETY")]
            // SAFETY: the map is backed by a file and never written, so a dropped page is filled again from the same
            // file with the same bytes; no reference into it sees another value. The range lies inside the map. Pages
            // that reach over its ends are dropped too and come back in the same way.
            let advised =
                unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
            // Only advice: the bytes are correct either way.
            drop(advised);
        }
        #[cfg(not(unix))]
        let _ = start;
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn counting(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
    }

    /// Resident memory of this process that is backed by `path`, in KiB.
    #[cfg(target_os = "linux")]
    fn resident(path: &Path) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let mut total = 0;
        for line in maps.lines() {
            if line.contains('-') && line.contains(' ') && !line.starts_with(char::is_uppercase) {
                inside = line.ends_with(path.to_str().unwrap());
            } else if inside && line.starts_with("Rss:") {
                total += line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
            }
        }
        total
    }

    #[test]
    fn equals_reading_the_file() {
        for len in [0, 1, 4095, 4096, 4097, 300_000] {
            let (_folder, path) = written(&counting(len));
            let map = MappedFile::open(&path).unwrap();
            assert_eq!(&*map, std::fs::read(&path).unwrap(), "{len} bytes");
        }
    }

    #[test]
    fn bytes_are_the_same_after_release() {
        let bytes = counting(100_000);
        let (_folder, path) = written(&bytes);
        let map = MappedFile::open(&path).unwrap();
        for range in [0..100_000, 4096..8192, 10..20, 99_999..5_000_000, 7..7] {
            map.release(range);
            assert_eq!(&*map, bytes);
        }
        let reversed = Range { start: 9, end: 3 };
        map.release(reversed);
        assert_eq!(&*map, bytes);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn release_lowers_resident_memory() {
        let (_folder, path) = written(&counting(8 << 20));
        let map = MappedFile::open(&path).unwrap();
        let sum: u64 = map.iter().map(|&byte| u64::from(byte)).sum();
        assert!(sum > 0);
        let before = resident(&path);
        map.release(0..map.len());
        let after = resident(&path);
        assert!(before >= 8 << 10, "{before} KiB");
        assert!(after < 64, "{after} KiB");
    }

    #[test]
    fn folder_and_missing_file_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let error = MappedFile::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = MappedFile::open(folder.path().join("absent")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
