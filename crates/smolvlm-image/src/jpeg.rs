//! Whether a JPEG file is whole. The decoder fills what is missing with grey; the reference refuses such files.

/// Whether the end-of-image marker follows the last scan (ITU T.81, annex B).
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // A marker: 0xff, perhaps more of them, and a code.
        let Some(start) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) else {
            return false;
        };
        at += start;
        while bytes.get(at) == Some(&0xff) {
            at += 1;
        }
        let Some(&code) = bytes.get(at) else { return false };
        at += 1;
        match code {
            0xd9 => return true,
            // Stuffed bytes, restarts and stand-alone markers: no length follows.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => match bytes.get(at..at + 2) {
                Some(&[high, low]) => at += usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
}
