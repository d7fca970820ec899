//! One file from the hub to the cache: as many connections as it takes, each going on where the last one ended.

use super::HubError;
use super::client::{Client, Failure, transient, unexpected};
use super::names::is_component;
use crate::Progress;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use ureq::http::{HeaderMap, StatusCode, header};

/// Bytes read at once.
const BUFFER: usize = 128 << 10;

/// What the hub says about a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileFacts {
    /// Name of the contents in the cache.
    pub etag: String,
    /// Bytes of the file.
    pub size: u64,
    /// Hash of the contents, known for files in large-file storage.
    sha256: Option<String>,
}

impl FileFacts {
    /// Asks the hub about a file.
    pub(super) fn ask(client: &Client<'_>, url: &str, file: &str) -> Result<Self, Failure> {
        let headers = client.head(url, file, |headers| linked(headers).is_some())?;
        linked(&headers)
            .or_else(|| plain(&headers))
            .ok_or_else(|| unexpected(url, "it has no usable ETag or no size").into())
    }
}

/// Facts that stand in the hub's own headers. A redirect to another host has them for the file it leads to.
fn linked(headers: &HeaderMap) -> Option<FileFacts> {
    let etag = etag(headers, "x-linked-etag")?;
    let size = number(headers, "x-linked-size")?;
    // The hub uses the hash of large files as their etag, and that of a git object for others.
    let sha256 = (etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| etag.to_lowercase());
    Some(FileFacts { etag, size, sha256 })
}

/// Facts about the very answer that the headers belong to.
fn plain(headers: &HeaderMap) -> Option<FileFacts> {
    let etag = etag(headers, "etag")?;
    Some(FileFacts { etag, size: number(headers, "content-length")?, sha256: None })
}

fn etag(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    is_component(text).then(|| text.to_owned())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// A file on its way.
pub(super) struct Transfer<'a> {
    pub client: &'a Client<'a>,
    pub url: &'a str,
    pub name: &'a str,
    pub facts: &'a FileFacts,
    /// What has arrived; its beginning may be from an earlier process.
    pub part: &'a Path,
}

impl Transfer<'_> {
    /// Fetches what is missing of the part and checks it. After `attempts` connections in a row that brought nothing,
    /// the part stays as it is.
    pub(super) fn run(&self, attempts: u32, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
        let mut broken = false;
        self.client.retry(attempts, |failed| {
            self.receive(failed, progress)?;
            match self.verify()? {
                None => Ok(()),
                // The beginning may have been somebody else's, so a whole new one is worth a try.
                Some(error) if !broken => {
                    broken = true;
                    Err(Failure::Transient(error))
                }
                Some(error) => Err(Failure::Final(error)),
            }
        })
    }

    /// One connection, for what the part lacks.
    fn receive(&self, failed: &mut u32, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Failure> {
        let total = self.facts.size;
        let mut file = OpenOptions::new().create(true).append(true).open(self.part).map_err(HubError::io(self.part))?;
        let before = file.metadata().map_err(HubError::io(self.part))?.len();
        let mut done = before;
        if done > total {
            done = self.restart(&file)?;
        }
        let mut tell = |done| progress(Progress { file: self.name, done, total });
        tell(done);
        if done == total {
            return Ok(());
        }
        let response = self.client.get(self.url, Some(self.name), done)?;
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT && begins_at(response.headers(), done);
        if done > 0 && !resumed {
            done = self.restart(&file)?;
            tell(done);
        }
        if !resumed && response.status() != StatusCode::OK {
            return Err(transient(self.url, "the host does not go on where the connection broke"));
        }
        let arrived = self.append(response.into_body().into_reader(), &mut file, &mut done, &mut tell);
        // Bytes that were here before are no progress: a host that cannot resume must not be asked for ever.
        if done > before && (resumed || before == 0) {
            *failed = 0;
        }
        arrived?;
        // A name in the cache must not outlive a crash that its contents do not.
        Ok(file.sync_all().map_err(HubError::io(self.part))?)
    }

    /// Appends what comes to the file.
    fn append(
        &self,
        mut body: impl Read,
        file: &mut File,
        done: &mut u64,
        tell: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let mut buffer = vec![0; BUFFER];
        while *done < self.facts.size {
            let room = usize::try_from(self.facts.size - *done).map_or(BUFFER, |left| left.min(BUFFER));
            let broken = |reason: &str| {
                let message = format!("the connection broke after {done} of {} bytes: {reason}", self.facts.size);
                transient(self.url, message)
            };
            let bytes = body.read(&mut buffer[..room]).map_err(|error| broken(&error.to_string()))?;
            if bytes == 0 {
                return Err(broken("it ended early"));
            }
            file.write_all(&buffer[..bytes]).map_err(HubError::io(self.part))?;
            *done += bytes as u64;
            tell(*done);
        }
        Ok(())
    }

    /// Compares the hash of what arrived with the announced one; throws it away if they differ.
    fn verify(&self) -> Result<Option<HubError>, HubError> {
        let Some(expected) = &self.facts.sha256 else { return Ok(None) };
        let found = sha256(self.part).map_err(HubError::io(self.part))?;
        if found == *expected {
            return Ok(None);
        }
        fs::remove_file(self.part).map_err(HubError::io(self.part))?;
        Ok(Some(HubError::Corrupt { file: self.name.to_owned(), expected: expected.clone(), found }))
    }

    /// Throws away what has arrived.
    fn restart(&self, file: &File) -> Result<u64, HubError> {
        file.set_len(0).map_err(HubError::io(self.part))?;
        Ok(0)
    }
}

/// Whether an answer begins at this byte.
fn begins_at(headers: &HeaderMap, byte: u64) -> bool {
    let range = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()) == Some(byte)
}

/// SHA-256 of a file, in hexadecimal.
fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            bytes => hash.update(&buffer[..bytes]),
        }
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn facts_of_large_and_small_files() {
        let hash = "AB".repeat(32);
        let large = linked(&headers(&[("x-linked-etag", &format!("\"{hash}\"")), ("x-linked-size", "12")])).unwrap();
        assert_eq!(large, FileFacts { etag: hash.clone(), size: 12, sha256: Some(hash.to_lowercase()) });
        let small = plain(&headers(&[("etag", "W/\"abc\""), ("content-length", "3")])).unwrap();
        assert_eq!(small, FileFacts { etag: "abc".to_owned(), size: 3, sha256: None });
        // A hash among plain headers need not be that of the file.
        assert_eq!(plain(&headers(&[("etag", &hash), ("content-length", "3")])).unwrap().sha256, None);
    }

    #[test]
    fn etags_that_are_no_file_names_are_refused() {
        for etag in ["../../x", "a/b", "", "\"\"", ".", "a b", "a\\b"] {
            assert_eq!(plain(&headers(&[("etag", etag), ("content-length", "3")])), None, "{etag}");
        }
        for size in ["", "-1", "x", "99999999999999999999"] {
            assert_eq!(plain(&headers(&[("etag", "abc"), ("content-length", size)])), None, "{size}");
        }
    }

    #[test]
    fn where_an_answer_begins() {
        assert!(begins_at(&headers(&[("content-range", "bytes 5-9/10")]), 5));
        assert!(!begins_at(&headers(&[("content-range", "bytes 0-9/10")]), 5));
        assert!(!begins_at(&headers(&[("content-range", "bytes */10")]), 5));
        assert!(!begins_at(&headers(&[]), 0));
    }

    #[test]
    fn the_hash_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(&path).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
