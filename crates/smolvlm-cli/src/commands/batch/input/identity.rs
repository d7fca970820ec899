//! The identity of a data set, by which a later run recognizes it.

use super::files::Files;
use super::{Kind, read_failure};
use crate::failure::Failure;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes at the start and at the end of a file that are hashed.
const HASHED: u64 = 64 << 10;

/// The identity of a data set: a hash of the names of images and videos in a folder, or of the names, sizes, first and
/// last bytes of files with rows.
#[derive(Debug)]
pub struct Identity {
    /// In hexadecimal.
    pub hash: String,
    size: Size,
}

/// The length of a data set, as far as it is known without reading it.
#[derive(Debug, Clone, Copy)]
enum Size {
    Rows(u64),
    Bytes(u64),
}

impl Identity {
    /// Lists the files of a data set.
    pub(super) fn of(files: &Files, kind: Kind) -> Result<Self, Failure> {
        let (mut hash, mut rows, mut bytes) = (Sha256::new(), 0, 0);
        for found in files.list() {
            let found = found?;
            hash.update(found.name.as_bytes());
            hash.update([0]);
            if kind != Kind::Media {
                bytes += hash_file(&found.path, &mut hash).map_err(|source| read_failure(&found.path, source))?;
            }
            rows += match kind {
                Kind::Media => 1,
                Kind::Json => 0,
                Kind::Parquet => super::parquet::count_rows(&found.path)?,
            };
        }
        let size = if kind == Kind::Json { Size::Bytes(bytes) } else { Size::Rows(rows) };
        Ok(Self { hash: hex(hash), size })
    }

    /// Whether it has no rows or no bytes.
    pub fn is_empty(&self) -> bool {
        matches!(self.size, Size::Rows(0) | Size::Bytes(0))
    }

    /// The fraction of the data set in its first rows or bytes.
    pub fn position(&self, rows: u64, bytes: u64) -> f64 {
        let (done, total) = match self.size {
            Size::Rows(total) => (rows, total),
            Size::Bytes(total) => (bytes, total),
        };
        (done as f64 / total.max(1) as f64).min(1.0)
    }
}

/// A hash of the sizes, first and last bytes of files, in hexadecimal.
pub fn hash_files<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    for path in paths {
        hash_file(path, &mut hash).map_err(|source| read_failure(path, source))?;
    }
    Ok(hex(hash))
}

/// Hashes the size, the first and the last bytes of a file; returns the size.
fn hash_file(path: &Path, hash: &mut Sha256) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    hash.update(size.to_le_bytes());
    for start in [0, size.saturating_sub(HASHED)] {
        file.seek(SeekFrom::Start(start))?;
        let mut part = Vec::new();
        (&mut file).take(HASHED).read_to_end(&mut part)?;
        hash.update(part);
    }
    Ok(size)
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{HASHED, hash_files};
    use std::fs;

    #[test]
    fn changes_of_size_start_or_end_change_the_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let hash = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            hash_files([path.as_path()]).unwrap()
        };
        let long = vec![b'a'; 2 * HASHED as usize + 9];
        let first = hash(&long);
        assert_eq!((first.len(), hash(&long)), (32, first.clone()));
        for changed in [0, HASHED as usize - 1, HASHED as usize + 9, long.len() - 1] {
            let mut other = long.clone();
            other[changed] = b'b';
            assert_ne!(hash(&other), first, "{changed}");
        }
        assert_ne!(hash(&long[1..]), first);
        assert_ne!(hash(b""), hash(b"a"));
    }
}
