//! Restart markers, which divide the data of a scan into intervals that are coded independently.

use super::error::ReadError;
use super::source::Source;

/// Counts the MCUs of a restart interval.
#[derive(Debug, Clone, Default)]
pub(crate) struct Restarts {
    interval: u32,
    left: u32,
    next: u8,
}

impl Restarts {
    /// Starts a scan with `interval` MCUs between markers, or without markers if it is 0.
    pub(crate) fn new(interval: u32) -> Self {
        Self { interval, left: interval, next: 0 }
    }

    /// Whether the scan has intervals.
    pub(crate) fn are_used(&self) -> bool {
        self.interval != 0
    }

    /// Whether a marker precedes the next MCU.
    #[inline(always)]
    pub(crate) fn due(&self) -> bool {
        self.interval != 0 && self.left == 0
    }

    /// Consumes the marker.
    pub(crate) fn pass(&mut self, source: &mut Source<'_>) -> Result<(), ReadError> {
        source.restart(self.next)?;
        self.next = (self.next + 1) & 7;
        self.left = self.interval;
        Ok(())
    }

    /// Counts an MCU.
    #[inline(always)]
    pub(crate) fn count(&mut self) {
        self.left = self.left.wrapping_sub(1);
    }
}
