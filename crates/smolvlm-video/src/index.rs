//! The frames that a container holds, found by reading its packets without decoding them.

use crate::Error;
use crate::limits::{Deadline, check};
use ffmpeg_next as ffmpeg;

/// Packets that cannot be read, one after the other, after which a file counts as finished.
pub(crate) const MOST_ERRORS: usize = 64;

/// Frames and their times, in the stream's time base. What a file's header says about them is often missing or wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    /// When each frame is shown, ascending; empty for a stream without usable times.
    pub(crate) times: Vec<i64>,
    /// When the frames are shown that can be decoded without others, ascending.
    pub(crate) keys: Vec<i64>,
    /// Frames.
    pub(crate) frames: usize,
    /// How long the last frame is shown; 0 if the file does not say.
    last_duration: i64,
}

impl Index {
    /// Reads all packets of a stream.
    pub(crate) fn scan(
        input: &mut ffmpeg::format::context::Input,
        stream: usize,
        start: Option<i64>,
        max_frames: usize,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let mut index = Self::default();
        let mut has_times = true;
        let mut last = i64::MIN;
        let mut errors = 0;
        while errors < MOST_ERRORS {
            let mut packet = ffmpeg::Packet::empty();
            match packet.read(input) {
                Ok(()) => errors = 0,
                Err(ffmpeg::Error::Eof) => break,
                // A file may be damaged in places. What cannot be read will not be missed unless it is wanted.
                Err(_) => {
                    deadline.check()?;
                    errors += 1;
                    continue;
                }
            }
            // What lies before the start was cut away by an edit list, and is decoded but not shown.
            let hidden = |time: i64| start.is_some_and(|start| time < start);
            if packet.stream() != stream || packet.pts().is_some_and(hidden) {
                continue;
            }
            index.frames += 1;
            check("the number of frames", index.frames as u64, max_frames as u64)?;
            let Some(time) = packet.pts() else {
                has_times = false;
                continue;
            };
            index.times.push(time);
            if packet.is_key() {
                index.keys.push(time);
            }
            if time > last {
                (last, index.last_duration) = (time, packet.duration().max(0));
            }
        }
        index.times.sort_unstable();
        index.keys.sort_unstable();
        if !has_times || !index.times.is_sorted_by(|a, b| a < b) {
            (index.times, index.keys) = (Vec::new(), Vec::new());
        }
        Ok(index)
    }

    /// From the first frame to the end of the last one, in the stream's time base; none without times.
    pub(crate) fn span(&self) -> Option<u64> {
        let (first, last) = (self.times.first()?, self.times.last()?);
        let last_duration = match self.last_duration {
            0 => self.times.len().checked_sub(2).and_then(|at| last.checked_sub(self.times[at])).unwrap_or(0),
            duration => duration,
        };
        u64::try_from(last.checked_sub(*first)?.checked_add(last_duration)?).ok()
    }

    /// The last frame at or before a time from which decoding can start.
    pub(crate) fn key_before(&self, time: i64) -> Option<i64> {
        self.keys.partition_point(|&key| key <= time).checked_sub(1).map(|at| self.keys[at])
    }
}
