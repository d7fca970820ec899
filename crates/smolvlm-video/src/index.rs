//! Index of the frames of a container, built from its packets without decoding them.

use crate::Error;
use crate::limits::check_frames;

/// A packet of a video stream. Times are in the stream's time base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Presentation time stamp.
    pub(crate) pts: Option<i64>,
    /// Decoding time stamp.
    pub(crate) dts: Option<i64>,
    /// Duration of its frame; 0 if unknown.
    pub(crate) duration: i64,
    /// Whether it is a key frame.
    pub(crate) is_key: bool,
}

/// Frames and their times, in the stream's time base. Unlike the file's header, which is often incomplete or wrong, it
/// is built from the packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// Number of frames.
    pub(crate) frames: usize,
    /// Time of each frame, ascending; empty for a stream without times.
    pub(crate) times: Vec<i64>,
    /// Whether decoded frames can be identified by these times, which are then unique. Otherwise they are counted from
    /// the start.
    pub(crate) by_time: bool,
    /// Times of the key frames, ascending; empty without `by_time`.
    pub(crate) keys: Vec<i64>,
    /// Duration of the last frame; 0 if unknown.
    pub(crate) last_duration: i64,
}

/// Collects packets in file order.
#[derive(Debug, Default)]
pub(crate) struct PacketScan {
    /// Start of the edit list; earlier packets are decoded but not displayed.
    start: Option<i64>,
    /// For formats whose clock may restart: longer gaps are restarts, not pauses.
    max_gap: Option<i64>,
    frames: usize,
    pts: Vec<i64>,
    dts: Vec<i64>,
    keys: Vec<i64>,
    is_broken: bool,
    last: Option<(i64, i64)>,
    /// The most recently added packet.
    newest: Option<Packet>,
}

impl PacketScan {
    pub(crate) fn new(start: Option<i64>, max_gap: Option<i64>) -> Self {
        Self { start, max_gap, ..Self::default() }
    }

    /// Adds a packet.
    pub(crate) fn push(&mut self, packet: Packet, max_frames: usize) -> Result<(), Error> {
        if packet.pts.zip(self.start).is_some_and(|(time, start)| time < start) {
            return Ok(());
        }
        self.frames += 1;
        self.newest = Some(packet);
        check_frames(self.frames, max_frames)?;
        if let Some(time) = packet.dts {
            if let Some(&before) = self.dts.last() {
                let is_gap = |gap| time.saturating_sub(before) > gap;
                self.is_broken |= time < before || self.max_gap.is_some_and(is_gap);
            }
            self.dts.push(time);
        }
        if let Some(time) = packet.pts {
            self.pts.push(time);
            if packet.is_key {
                self.keys.push(time);
            }
        }
        let shown = packet.pts.or(packet.dts);
        if shown > self.last.map(|(time, _)| time) {
            self.last = shown.map(|time| (time, packet.duration.max(0)));
        }
        Ok(())
    }

    /// Removes the most recently added packet, which is incomplete.
    pub(crate) fn drop_last(&mut self) {
        let Some(packet) = self.newest.take() else { return };
        self.frames -= 1;
        if packet.dts.is_some() {
            self.dts.pop();
        }
        if packet.pts.is_some() {
            self.pts.pop();
            if packet.is_key {
                self.keys.pop();
            }
        }
        if self.last.map(|(time, _)| time) == packet.pts.or(packet.dts) {
            // The duration of the frame before it is no longer known.
            self.last = None;
        }
    }

    /// Builds the index; `None` if the packets do not suffice and the frames must be decoded.
    pub(crate) fn finish(mut self) -> Option<Index> {
        let last_duration = self.last.map_or(0, |(_, duration)| duration);
        let frames = self.frames;
        if self.is_broken {
            return None;
        }
        if self.pts.len() == frames {
            self.pts.sort_unstable();
            self.keys.sort_unstable();
            let by_time = self.pts.is_sorted_by(|a, b| a < b);
            let keys = if by_time { self.keys } else { Vec::new() };
            return Some(Index { frames, times: self.pts, by_time, keys, last_duration });
        }
        // Frames are displayed at their decoding times, with a constant delay.
        let has_none = self.pts.is_empty() && self.dts.is_empty();
        let times = if self.dts.len() == frames { self.dts } else { Vec::new() };
        let is_known = has_none || !times.is_empty();
        is_known.then(|| Index { frames, times, last_duration, ..Index::default() })
    }
}

impl Index {
    /// An index of frames identified by counting, with their repaired times.
    pub(crate) fn counted(frames: usize, times: Vec<i64>) -> Self {
        Self { frames, times, ..Self::default() }
    }

    /// Duration from the first frame to the end of the last one, in the stream's time base; `None` without times.
    /// `frame` is the duration of a frame at the stream's rate.
    pub(crate) fn span(&self, frame: Option<i64>) -> Option<i64> {
        let (first, last) = (self.times.first()?, self.times.last()?);
        let before = self.times.len().checked_sub(2).and_then(|at| self.times.get(at));
        let step = || before.and_then(|before| last.checked_sub(*before)).unwrap_or(0);
        let last_duration = if self.last_duration > 0 { self.last_duration } else { frame.unwrap_or_else(step) };
        last.checked_sub(*first)?.checked_add(last_duration)
    }

    /// Time of the last key frame at or before a time.
    pub(crate) fn key_before(&self, time: i64) -> Option<i64> {
        self.keys.partition_point(|&key| key <= time).checked_sub(1).map(|at| self.keys[at])
    }

    /// Removes frames at the end, from time `start` on, that are not in `decoded`.
    pub(crate) fn trim(&mut self, start: i64, decoded: &[i64]) {
        let is_lost = |time: i64| time >= start && !decoded.contains(&time);
        let before = self.times.len();
        while self.times.last().is_some_and(|&time| is_lost(time)) {
            self.times.pop();
        }
        if self.times.len() < before {
            self.last_duration = 0;
        }
        self.frames = self.times.len();
    }
}

#[cfg(test)]
mod tests {
    use super::{Index, Packet, PacketScan};
    use crate::Error;

    fn scan(packets: &[(Option<i64>, Option<i64>)], max_gap: Option<i64>) -> Option<Index> {
        let mut scan = PacketScan::new(Some(0), max_gap);
        for (at, &(pts, dts)) in packets.iter().enumerate() {
            scan.push(Packet { pts, dts, duration: 10, is_key: at % 2 == 0 }, 9).unwrap();
        }
        scan.finish()
    }

    #[test]
    fn unique_times_identify_frames() {
        let some = |pts, dts| (Some(pts), Some(dts));
        let index = scan(&[some(-10, -20), some(0, -10), some(20, 0), some(10, 10), some(30, 20)], Some(50)).unwrap();
        assert_eq!((index.frames, index.by_time, &index.times[..]), (4, true, &[0, 10, 20, 30][..]));
        assert_eq!((index.span(None), index.key_before(29), index.key_before(9)), (Some(40), Some(20), None));

        let repeated = scan(&[some(0, 0), some(10, 10), some(10, 10)], None).unwrap();
        assert_eq!((repeated.by_time, &repeated.times[..], repeated.span(None)), (false, &[0, 10, 10][..], Some(20)));
    }

    #[test]
    fn decoding_times_replace_missing_ones() {
        let index = scan(&[(Some(5), Some(0)), (None, Some(10)), (None, Some(20))], None).unwrap();
        assert_eq!((index.by_time, &index.times[..], index.span(None)), (false, &[0, 10, 20][..], Some(30)));
        let nothing = scan(&[(None, None); 3], None).unwrap();
        assert_eq!((nothing.frames, nothing.times.len(), nothing.span(None)), (3, 0, None));
    }

    #[test]
    fn ambiguous_packets_require_decoding() {
        assert_eq!(scan(&[(Some(5), Some(5)), (None, None)], None), None);
        let restart = [(Some(50), Some(50)), (Some(10), Some(10))];
        assert_eq!(scan(&restart, None), None);
        let gap = [(Some(5), Some(5)), (Some(500), Some(500))];
        assert!(scan(&gap, None).is_some() && scan(&gap, Some(100)).is_none());
        let mut few = PacketScan::new(None, None);
        let packet = Packet { pts: None, dts: None, duration: 0, is_key: true };
        few.push(packet, 1).unwrap();
        assert!(matches!(few.push(packet, 1), Err(Error::Limit { found: 2, limit: 1, .. })));
    }

    #[test]
    fn a_partial_packet_at_the_end_is_removed() {
        let mut scan = PacketScan::new(None, None);
        for (dts, time, is_key) in [(0, 0, true), (1, 30, false), (2, 10, true)] {
            scan.push(Packet { pts: Some(time), dts: Some(dts), duration: 5, is_key }, 9).unwrap();
        }
        scan.drop_last();
        scan.drop_last();
        let index = scan.finish().unwrap();
        assert_eq!((index.frames, &index.times[..], &index.keys[..]), (2, &[0, 30][..], &[0][..]));
    }

    #[test]
    fn undecodable_frames_at_the_end_are_removed() {
        let mut index = scan(&[(Some(0), Some(0)), (Some(30), Some(10)), (Some(20), Some(20))], None).unwrap();
        index.trim(0, &[0, 30]);
        assert_eq!(index.frames, 3);
        index.trim(0, &[0]);
        assert_eq!((index.frames, &index.times[..], index.span(Some(7))), (1, &[0][..], Some(7)));
    }
}
