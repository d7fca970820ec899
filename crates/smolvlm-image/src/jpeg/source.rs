//! The bytes of a file, and the markers among them.
//!
//! The reference hands its decoder windows of the file that end at multiples of 64 KiB. Where a window ends decides what it
//! does with some damaged files: which of two Huffman loops reads a block (they treat doubled 0xff bytes differently),
//! how far behind the last scan it looks, and whether arithmetic-coded data can be read. The windows are the same here.

use super::error::{Halt, JpegError};

/// Bytes by which the window grows (`ImageFile.MAXBLOCK` of Pillow 13).
const WINDOW: usize = 1 << 16;

/// The position in a file.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
    /// The next byte.
    pub(crate) at: usize,
    /// End of the window.
    end: usize,
    /// A marker code that was read but not acted on; 0 if there is none.
    pub(crate) marker: u8,
    /// Whether the end of the window is reported instead of moved.
    pub(crate) fixed: bool,
    /// Whether what follows the image matters.
    pub(crate) looks_behind: bool,
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, end: WINDOW.min(bytes.len()), marker: 0, fixed: false, looks_behind: true }
    }

    /// Bytes that are all in one window, and of which those behind the image do not matter.
    pub(crate) fn whole(bytes: &'a [u8]) -> Self {
        Self { end: bytes.len(), looks_behind: false, ..Self::new(bytes) }
    }

    /// The bytes up to the end of the window, those already read included.
    #[inline(always)]
    pub(crate) fn window(&self) -> &'a [u8] {
        &self.bytes[..self.end]
    }

    /// Unread bytes in the window.
    #[inline(always)]
    pub(crate) fn remaining(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// Moves the end of the window.
    pub(crate) fn grow(&mut self) -> Result<(), JpegError> {
        if self.end == self.bytes.len() {
            return Err(JpegError::Truncated);
        }
        self.end = (self.end + WINDOW).min(self.bytes.len());
        Ok(())
    }

    /// Reads a byte.
    #[inline(always)]
    pub(crate) fn byte(&mut self) -> Result<u8, Halt> {
        if self.at >= self.end {
            self.wait()?;
        }
        let byte = self.bytes[self.at];
        self.at += 1;
        Ok(byte)
    }

    #[cold]
    fn wait(&mut self) -> Result<(), Halt> {
        while self.at >= self.end {
            if self.fixed {
                return Err(Halt::Window);
            }
            self.grow()?;
        }
        Ok(())
    }

    /// Reads a big-endian 16-bit number.
    pub(crate) fn word(&mut self) -> Result<u16, Halt> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// Steps over bytes, possibly beyond the window's end.
    pub(crate) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// Finds the next marker and stores its code, which is neither 0 nor 0xff. Bytes between markers are skipped.
    pub(crate) fn find_marker(&mut self) -> Result<(), Halt> {
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

    /// Passes the restart marker `RSTn` with number `expected`, which should be next. If it is not, decides as libjpeg does
    /// whether to skip data, to go on, or to leave the marker, so that the coming interval counts as lost.
    pub(crate) fn restart(&mut self, expected: u8) -> Result<(), Halt> {
        if self.marker == 0 {
            self.find_marker()?;
        }
        loop {
            match self.marker {
                // No marker that a file may hold: damaged data.
                ..0xc0 => {}
                0xd0..=0xd7 => match (self.marker.wrapping_sub(0xd0 + expected)) & 7 {
                    // One or two intervals are missing.
                    1 | 2 => return Ok(()),
                    // A marker from before.
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
