//! Entry points of the fuzz target `video_index` to what has no public interface.

use crate::Error;
use crate::index::{Packet, PacketScan};
use crate::structure::Structure;
use crate::timeline::repair;
use std::io::Cursor;

/// Reads the declared lengths of a container.
pub fn structure(bytes: &[u8]) {
    Structure::of(&mut Cursor::new(bytes)).expect("memory can be read");
}

/// Indexes packets with these times, and repairs the times of their frames.
///
/// # Panics
///
/// When a frame is lost, or times do not ascend.
pub fn index(bytes: &[u8]) {
    const MAX_FRAMES: usize = 64;
    let (words, _) = bytes.as_chunks::<17>();
    let packets: Vec<Packet> = words
        .iter()
        .map(|word| {
            let [flags, pts @ .., a, b, c, d, e, f, g, h] = *word;
            let (pts, dts) = (i64::from_le_bytes(pts), i64::from_le_bytes([a, b, c, d, e, f, g, h]));
            // Mostly small numbers, between which there are relations.
            let time = |value: i64, shift: u8| if flags & shift == 0 { value >> 56 } else { value };
            Packet {
                pts: (flags & 1 == 0).then(|| time(pts, 4)),
                dts: (flags & 2 == 0).then(|| time(dts, 8)),
                duration: time(dts, 16),
                is_key: flags & 32 == 0,
            }
        })
        .collect();
    let max_gap = bytes.first().filter(|first| **first > 127).map(|&first| i64::from(first));
    let mut scan = PacketScan::new(None, max_gap);
    let pushed: Result<(), Error> = packets.iter().try_for_each(|&packet| scan.push(packet, MAX_FRAMES));
    assert_eq!(pushed.is_err(), packets.len() > MAX_FRAMES);
    if bytes.len() % 2 == 1 {
        scan.drop_last();
    }
    if let Some(index) = scan.finish() {
        assert!(index.times.is_sorted() && (index.times.is_empty() || index.times.len() == index.frames));
        let _ = (index.span(None), index.key_before(0));
    }
    let times: Vec<Option<i64>> = packets.iter().map(|packet| packet.pts).collect();
    let repaired = repair(&times, None, max_gap);
    assert!(repaired.is_sorted(), "{times:?} became {repaired:?}");
    assert!(repaired.len() == times.len() || repaired.is_empty());
}
