//! Identity of a file's contents: the git object id from a listing, and verification against it.
//!
//! The hub stores repositories in git. A listing gives the id of each file's git object. For a large file, that object
//! is a Git LFS pointer: a text of three lines with the file's SHA-256 and size (Git LFS specification, version 1). The
//! object id suffices to verify both kinds.

use super::names::is_hex;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes per read.
const BUFFER: usize = 128 << 10;

/// Identity and size of a file's contents, from a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Id of the git object, or the SHA-256 of a large file, which some mirrors send instead.
    pub oid: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Whether the git object is a Git LFS pointer.
    large: bool,
}

impl Object {
    /// Returns `None` unless `oid` is an object id: 40 or 64 hexadecimal digits.
    pub(super) fn new(oid: &str, size: u64, large: bool) -> Option<Self> {
        let oid = oid.to_lowercase();
        (is_hex(&oid, 40) || is_hex(&oid, 64)).then_some(Self { oid, size, large })
    }

    /// Whether this is a large file with the given SHA-256 in hexadecimal.
    pub(super) fn has_sha256(&self, sha256: &str) -> bool {
        if self.oid.len() == 64 {
            return self.oid == sha256;
        }
        self.large && git_id(&pointer(sha256, self.size)) == self.oid
    }

    /// Whether the cache names the contents by their SHA-256 instead of their git object id.
    pub(super) fn is_large(&self) -> bool {
        self.large || self.oid.len() == 64
    }

    /// Returns the hub's etag, which names the contents in the cache, if the file at `path` holds these contents.
    pub(super) async fn verify(&self, path: &Path) -> io::Result<Option<String>> {
        let file = File::open(path)?;
        if file.metadata()?.len() != self.size {
            return Ok(None);
        }
        if self.is_large() {
            let sha256 = digest(file, Sha256::new()).await?;
            Ok(self.has_sha256(&sha256).then_some(sha256))
        } else {
            let id = digest(file, Sha1::new_with_prefix(git_prefix(self.size))).await?;
            Ok((id == self.oid).then_some(id))
        }
    }
}

/// Hashes a file. Yields to the runtime, so that other tasks run and the download can be cancelled.
async fn digest(mut file: File, mut hash: impl Digest) -> io::Result<String> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(hash.finalize())),
            bytes => hash.update(&buffer[..bytes]),
        }
        tokio::task::yield_now().await;
    }
}

/// The Git LFS pointer that git stores for a large file.
fn pointer(sha256: &str, size: u64) -> Vec<u8> {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n").into_bytes()
}

/// The header that git hashes before a file's contents.
fn git_prefix(size: u64) -> String {
    format!("blob {size}\0")
}

/// Id of the git object with these contents.
fn git_id(contents: &[u8]) -> String {
    hex(Sha1::new_with_prefix(git_prefix(contents.len() as u64)).chain_update(contents).finalize())
}

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Git id, SHA-256 and size of files on the hub: Qwen2.5-0.5B's weights and whisper.cpp's large-v1.
    const LARGE: [(&str, &str, u64); 2] = [
        (
            "d7db405a3f0d9bf1ba5bdd4e4211db8022ebe4eb",
            "fdf756fa7fcbe7404d5c60e26bff1a0c8b8aa1f72ced49e7dd0210fe288fb7fe",
            988_097_824,
        ),
        (
            "047db73ddfd7789113dfc94c20b22bc1d044586f",
            "7d99f41a10525d0206bddadd86760181fa920438b6b33237e3118ff6c83bb53d",
            3_094_623_691,
        ),
    ];

    #[test]
    fn large_files_are_verified_by_the_id_of_their_pointer() {
        for (oid, sha256, size) in LARGE {
            let object = Object::new(oid, size, true).unwrap();
            assert!(object.has_sha256(sha256));
            assert!(!object.has_sha256(LARGE[usize::from(sha256 == LARGE[0].1)].1));
            assert!(!Object::new(oid, size + 1, true).unwrap().has_sha256(sha256));
            assert!(Object::new(sha256, size, true).unwrap().has_sha256(sha256));
        }
    }

    #[test]
    fn verify_returns_the_etag_of_matching_contents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let verify = |oid: &str, size, large| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(Object::new(oid, size, large).unwrap().verify(&path)).unwrap()
        };
        // `printf abc | git hash-object --stdin`, and FIPS 180-2, appendix B.1.
        let (git, sha256) = (
            "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
        assert_eq!(verify(git, 3, false).as_deref(), Some(git));
        assert_eq!(verify(sha256, 3, true).as_deref(), Some(sha256));
        assert_eq!(verify(sha256, 3, false).as_deref(), Some(sha256));
        let pointer = git_id(&pointer(sha256, 3));
        assert_eq!(verify(&pointer, 3, true).as_deref(), Some(sha256));
        assert_eq!(verify(&pointer, 3, false), None);
        assert_eq!(verify(git, 4, false), None);
        assert_eq!(verify(&"0".repeat(40), 3, false), None);
    }

    #[test]
    fn invalid_object_ids_are_rejected() {
        for oid in ["", "abc", "../../x", &"g".repeat(40), &"0".repeat(41)] {
            assert_eq!(Object::new(oid, 1, false), None, "{oid}");
        }
    }
}
