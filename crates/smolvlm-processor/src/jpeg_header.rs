//! How much of a JPEG file has to be downloaded to know its size and orientation.

/// Whether the bytes reach to the first scan of a JPEG file: size and metadata are before it. Other formats may have their
/// orientation after the pixels, so of them the whole file is needed.
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
    use super::is_complete;

    #[test]
    fn the_first_scan_ends_the_header() {
        let head = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc0\0\x03c\xff\xda\0\x04de";
        assert!(is_complete(head) && is_complete(&[head.as_slice(), b"data"].concat()));
        for end in 0..head.len() {
            assert!(!is_complete(&head[..end]), "{end}");
        }
        assert!(!is_complete(b"\x89PNG\r\n\x1a\n") && !is_complete(b"\xff\xd8data"));
    }
}
