//! Reading of JPEG headers, which contain size and orientation.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Maximum header size in bytes. Color profiles and previews take at most a few hundred kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the header of a JPEG file; none for other files and for headers over the limit.
pub(crate) fn of_file(path: &Path) -> Option<Vec<u8>> {
    const CHUNK: u64 = 16 << 10;
    // Checked before opening, because opening a pipe blocks until there is a writer.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut file = File::open(path).ok()?.take(MAX_BYTES);
    let mut header = Vec::new();
    while !is_complete(&header) {
        let read = file.by_ref().take(CHUNK).read_to_end(&mut header).ok()?;
        if read == 0 || !header.starts_with(b"\xff\xd8") {
            return None;
        }
    }
    Some(header)
}

/// Whether the bytes of a JPEG file include the start of the first scan, which size and metadata precede. Other formats
/// may store the orientation after the pixels and have to be read completely.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    let Some(mut rest) = bytes.strip_prefix(b"\xff\xd8") else { return false };
    loop {
        match rest {
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, marker, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low])) + 2;
                let Some(next) = rest.get(length..) else { return false };
                if *marker == START_OF_SCAN {
                    return true;
                }
                rest = next;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_complete, of_file};

    #[test]
    fn header_ends_at_the_first_scan() {
        let head = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc0\0\x03c\xff\xda\0\x04de";
        assert!(is_complete(head) && is_complete(&[head.as_slice(), b"data"].concat()));
        for end in 0..head.len() {
            assert!(!is_complete(&head[..end]), "{end}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        std::fs::write(&path, [head.as_slice(), &[0; 100_000]].concat()).unwrap();
        assert!(of_file(&path).is_some_and(|header| header.starts_with(head) && header.len() < 50_000));
        std::fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
        assert!(of_file(&path).is_none() && of_file(folder.path()).is_none());
        assert!(!is_complete(b"\x89PNG\r\n\x1a\n") && !is_complete(b"\xff\xd8data"));
    }
}
