//! Header checks of Pillow 13 (`JpegImagePlugin`), which are made before decoding.

use super::error::JpegError;

/// Information from the segments before the first scan.
#[derive(Debug, Default)]
pub(crate) struct HeaderInfo {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// First bytes of the ICC segment with the lowest sort order.
    icc: Option<Vec<u8>>,
}

/// Parses the segments before the first scan.
///
/// # Errors
///
/// Files that the reference rejects.
pub(crate) fn parse(bytes: &[u8]) -> Result<HeaderInfo, JpegError> {
    if !bytes.starts_with(b"\xff\xd8\xff") {
        return Err(JpegError::NoScan);
    }
    let mut info = HeaderInfo::default();
    // The last byte read may start a marker.
    let mut at = 2;
    loop {
        // Bytes between segments are skipped, and any number of 0xff bytes before a marker.
        at += bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)).ok_or(JpegError::NoScan)?;
        at += bytes[at..].iter().position(|&byte| byte != 0xff).ok_or(JpegError::NoScan)?;
        let code = bytes[at];
        at += 1;
        match code {
            0 | 0xc8 | 0xd0..=0xd9 | 0xf0..=0xfd => continue,
            0xc0..=0xfe => {}
            _ => return Err(JpegError::Marker(code)),
        }
        let length = match bytes.get(at..at + 2) {
            Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])).saturating_sub(2),
            _ => return Err(JpegError::Truncated),
        };
        at += 2;
        let data = bytes.get(at..at + length).ok_or(JpegError::Truncated)?;
        at += length;
        match code {
            0xda if info.width == 0 => return Err(JpegError::NoScan),
            0xda => return Ok(info),
            0xc4 | 0xcc | 0xdc | 0xdd | 0xdf | 0xfe => {}
            0xc0..=0xcf | 0xde => info.frame(data)?,
            0xdb => quantization(data)?,
            _ => info.application(code, data)?,
        }
    }
}

impl HeaderInfo {
    fn frame(&mut self, data: &[u8]) -> Result<(), JpegError> {
        const DAMAGED: JpegError = JpegError::Segment("frame");
        let (header, components) = data.split_at_checked(6).ok_or(DAMAGED)?;
        if header[0] != 8 {
            return Err(JpegError::Unsupported("a JPEG image with other than 8 bits a sample"));
        }
        if !matches!(header[5], 1 | 3 | 4) {
            return Err(JpegError::Unsupported("a JPEG image with other than 1, 3 or 4 components"));
        }
        if !components.len().is_multiple_of(3) || self.icc.take().is_some_and(|icc| icc.len() < 14) {
            return Err(DAMAGED);
        }
        self.height = u16::from_be_bytes([header[1], header[2]]).into();
        self.width = u16::from_be_bytes([header[3], header[4]]).into();
        if self.height == 0 || self.width == 0 { Err(DAMAGED) } else { Ok(()) }
    }

    fn application(&mut self, code: u8, data: &[u8]) -> Result<(), JpegError> {
        const DAMAGED: JpegError = JpegError::Segment("application");
        match code {
            0xe0 if data.starts_with(b"JFIF") && data.len() < 7 => return Err(DAMAGED),
            0xee if data.starts_with(b"Adobe") && data.len() < 7 => return Err(DAMAGED),
            0xe2 if data.starts_with(b"ICC_PROFILE\0") => {
                let start = data[..data.len().min(14)].to_vec();
                self.icc = Some(self.icc.take().map_or(start.clone(), |icc| icc.min(start)));
            }
            0xed if data.starts_with(b"Photoshop 3.0\0") && !photoshop(data) => return Err(DAMAGED),
            _ => {}
        }
        Ok(())
    }
}

fn quantization(mut data: &[u8]) -> Result<(), JpegError> {
    while let Some(&header) = data.first() {
        let length = if header >> 4 == 0 { 65 } else { 129 };
        data = data.get(length..).ok_or(JpegError::Segment("quantization table"))?;
    }
    Ok(())
}

/// Whether image resource blocks are well-formed: an error if one ends before its name length, but not if it ends
/// elsewhere.
fn photoshop(data: &[u8]) -> bool {
    let mut at = 14;
    while data.get(at..).is_some_and(|rest| rest.starts_with(b"8BIM")) {
        if data.len() < at + 6 {
            return true;
        }
        let Some(&name) = data.get(at + 6) else { return false };
        at += 7 + usize::from(name);
        at += at & 1;
        let Some(size) = data.get(at..).and_then(|rest| rest.first_chunk()) else { return true };
        at = at.saturating_add(4).saturating_add(u32::from_be_bytes(*size) as usize);
        at += at & 1;
    }
    true
}
