//! Byte source with marker detection.
//!
//! The reference passes the file to its decoder in windows that end at multiples of 64 KiB. The window boundaries
//! affect how some damaged files are decoded: which of two Huffman loops decodes a block (they treat doubled 0xff bytes
//! differently), how far data after the last scan is checked, and whether arithmetic-coded data can be read. The
//! windows are the same here.

use super::error::{JpegError, ReadError};

/// Window increment in bytes (`ImageFile.MAXBLOCK` of Pillow 13).
const WINDOW: usize = 1 << 16;

/// The position in a file.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
    /// The next byte.
    pub(crate) at: usize,
    /// End of the window.
    end: usize,
    /// A marker code that was read but not processed; 0 if there is none.
    pub(crate) marker: u8,
    /// Whether the end of the window is reported instead of extending the window.
    pub(crate) fixed: bool,
    /// Whether data after the image is checked.
    pub(crate) checks_trailing_data: bool,
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, end: WINDOW.min(bytes.len()), marker: 0, fixed: false, checks_trailing_data: true }
    }

    /// A source with all bytes in one window that ignores data after the image.
    pub(crate) fn whole(bytes: &'a [u8]) -> Self {
        Self { end: bytes.len(), checks_trailing_data: false, ..Self::new(bytes) }
    }

    /// The bytes up to the end of the window, including those already read.
    #[inline(always)]
    pub(crate) fn window(&self) -> &'a [u8] {
        &self.bytes[..self.end]
    }

    /// Unread bytes in the window.
    #[inline(always)]
    pub(crate) fn remaining(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// Extends the window.
    pub(crate) fn grow(&mut self) -> Result<(), JpegError> {
        if self.end == self.bytes.len() {
            return Err(JpegError::Truncated);
        }
        self.end = (self.end + WINDOW).min(self.bytes.len());
        Ok(())
    }

    /// Reads a byte.
    #[inline(always)]
    pub(crate) fn byte(&mut self) -> Result<u8, ReadError> {
        if self.at >= self.end {
            self.wait()?;
        }
        let byte = self.bytes[self.at];
        self.at += 1;
        Ok(byte)
    }

    #[cold]
    fn wait(&mut self) -> Result<(), ReadError> {
        while self.at >= self.end {
            if self.fixed {
                return Err(ReadError::Suspended);
            }
            self.grow()?;
        }
        Ok(())
    }

    /// Reads a big-endian 16-bit number.
    pub(crate) fn word(&mut self) -> Result<u16, ReadError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// Skips bytes, possibly beyond the end of the window.
    pub(crate) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// Finds the next marker and stores its code, which is neither 0 nor 0xff. Bytes between markers are skipped.
    pub(crate) fn find_marker(&mut self) -> Result<(), ReadError> {
        loop {
            while self.byte()? != 0xff {}
            let mut code = self.byte()?;
            while code == 0xff {
                code = self.byte()?;
            }
            if code != 0 {
                self.marker = code;
                return Ok(());
            }
        }
    }

    /// Consumes the restart marker `RSTn` with number `expected`. If the next marker is a different one, decides like
    /// libjpeg whether to skip data, to continue, or to leave the marker, so that the next interval is treated as lost.
    pub(crate) fn restart(&mut self, expected: u8) -> Result<(), ReadError> {
        if self.marker == 0 {
            self.find_marker()?;
        }
        loop {
            match self.marker {
                // Not a valid marker: damaged data.
                ..0xc0 => {}
                0xd0..=0xd7 => match (self.marker.wrapping_sub(0xd0 + expected)) & 7 {
                    // One or two intervals are missing.
                    1 | 2 => return Ok(()),
                    // A previous marker.
                    6 | 7 => {}
                    _ => {
                        self.marker = 0;
                        return Ok(());
                    }
                },
                _ => return Ok(()),
            }
            self.find_marker()?;
        }
    }
}
