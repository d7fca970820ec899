//! Truncated containers, and times that are missing, wrong or restart.

mod support;

use smolvlm_config::VideoProcessorConfig;
use smolvlm_video::{Error, FramePlan, FrameSource, Limits, Ratio, VideoInput};
use support::{Opener, clip, openers, read};

fn open_bytes(open: Opener, bytes: &[u8]) -> Result<Box<dyn FrameSource>, Error> {
    open(VideoInput::Bytes(bytes.into()), &Limits::default())
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(clip(name)).unwrap()
}

fn times(video: &dyn FrameSource) -> Vec<f64> {
    let time = |at| video.stamp(at).time.map_or(f64::NAN, Ratio::as_f64);
    (0..video.metadata().frames).map(time).collect()
}

/// The frames sampled at one per second, at most `most`.
fn sampled(video: &dyn FrameSource, most: u32) -> Vec<usize> {
    let config = VideoProcessorConfig { fps: Some(1.0), num_frames: Some(most), ..VideoProcessorConfig::default() };
    FramePlan::new(video.metadata(), &config).indices
}

#[test]
fn durations_of_program_streams_are_exact() {
    for open in openers() {
        let mut video = open_bytes(open, &bytes("ps10s.mpg")).unwrap();
        assert_eq!((video.metadata().frames, video.metadata().duration), (250, Some(Ratio::whole(10))));
        let indices = sampled(video.as_ref(), 8);
        assert_eq!(indices, [0, 35, 71, 106, 142, 177, 213, 249]);
        assert_eq!(video.stamp(249).time, Ratio::new(249, 25));
        assert!(read(video.as_mut(), &indices).is_ok());
        assert!(video.notes().is_empty());

        let video = open_bytes(open, &bytes("a.mpg")).unwrap();
        assert_eq!((video.metadata().frames, video.metadata().duration), (40, Ratio::new(8, 5)));
        assert_eq!(sampled(video.as_ref(), 64), [0, 39]);
    }
}

#[test]
fn times_of_concatenated_recordings_continue() {
    for open in openers() {
        let mut video = open_bytes(open, &bytes("transport.ts").repeat(2)).unwrap();
        assert_eq!((video.metadata().frames, video.metadata().duration), (80, Some(Ratio::whole(10))));
        let expected: Vec<f64> = (0..80).map(|frame| f64::from(frame) / 8.0).collect();
        assert_eq!(times(video.as_ref()), expected);
        assert_eq!(read(video.as_mut(), &[0, 39, 40, 79]).unwrap().1, [0, 39, 0, 39]);
    }
}

/// `odd.mkv`, whose six frames are at 0, 125, 250, ... milliseconds, with some of these times changed.
fn with_times(changed: &[(u16, u16)]) -> Vec<u8> {
    let mut bytes = bytes("odd.mkv");
    for &(from, to) in changed {
        // The header of a block of track 1 with a key frame.
        let block = |time: u16| [0x81, (time >> 8) as u8, time as u8, 0x80];
        let at = bytes.windows(4).position(|window| window == block(from)).unwrap();
        bytes[at..at + 4].copy_from_slice(&block(to));
    }
    bytes
}

#[test]
fn single_wrong_times_are_repaired() {
    type Case<'a> = (&'a [(u16, u16)], [f64; 6]);
    let cases: [Case<'_>; 4] = [
        (&[], [0.0, 0.125, 0.25, 0.375, 0.5, 0.625]),
        (&[(375, 250)], [0.0, 0.125, 0.25, 0.25, 0.5, 0.625]),
        (&[(375, 100)], [0.0, 0.125, 0.25, 0.375, 0.5, 0.625]),
        (&[(500, 25_500), (625, 25_625)], [0.0, 0.125, 0.25, 0.375, 25.5, 25.625]),
    ];
    for open in openers() {
        for (changed, expected) in cases {
            let mut video = open_bytes(open, &with_times(changed)).unwrap();
            assert_eq!(times(video.as_ref()), expected, "{changed:?}");
            let length = video.metadata().duration.unwrap().as_f64();
            assert!((expected[5]..expected[5] + 0.2).contains(&length), "{changed:?}: {length}");
            assert_eq!(read(video.as_mut(), &[0, 3, 5]).unwrap().0.len(), 3);
        }
    }
}

#[test]
fn equal_times_are_replaced_by_the_stream_rate() {
    let equal = with_times(&[(125, 0), (250, 0), (375, 0), (500, 0), (625, 0)]);
    for open in openers() {
        let mut video = open_bytes(open, &equal).unwrap();
        assert_eq!((video.metadata().frames, video.metadata().duration), (6, Ratio::new(3, 4)));
        assert_eq!(times(video.as_ref()), [0.0, 0.125, 0.25, 0.375, 0.5, 0.625]);
        assert_eq!(read(video.as_mut(), &[0, 3, 5]).unwrap().1, [0, 3, 5]);
        let notes: Vec<String> = video.notes().iter().map(ToString::to_string).collect();
        assert!(notes.len() == 1 && notes[0].contains("8 per second"), "{notes:?}");
    }
}

/// Formats that do not declare the size of a frame.
#[test]
fn a_partial_frame_at_the_end_is_dropped() {
    for open in openers() {
        for (name, cut, frames) in [("transport.ts", 100, 39), ("a.mpg", 700, 39), ("live.mkv", 5, 11)] {
            let whole = bytes(name);
            let end = whole.len() - cut;
            let mut video = open_bytes(open, &whole[..end]).unwrap();
            assert!((1..=frames).contains(&video.metadata().frames), "{name}: {}", video.metadata().frames);
            assert_eq!(video.notes().len(), 1, "{name}");
            let last = video.metadata().frames - 1;
            assert!(read(video.as_mut(), &[0, last]).is_ok(), "{name}");
        }
        for name in ["transport.ts", "live.mkv", "packed.avi"] {
            let error = open_bytes(open, &bytes(name)[..700]).err().unwrap().to_string();
            assert!(error.contains("the download is incomplete"), "{name}: {error}");
        }
    }
}

#[test]
fn complete_frames_of_truncated_files_are_used_with_a_note() {
    for open in openers() {
        for (name, frames, declared) in
            [("cut-90.mp4", 60, "of 80"), ("cut-faststart.mp4", 24, "of 80"), ("cut.flv", 23, "23 frames")]
        {
            let mut video = open_bytes(open, &bytes(name)).unwrap();
            assert_eq!(video.metadata().frames, frames, "{name}");
            let recognized = read(video.as_mut(), &[0, frames - 1]).unwrap().1;
            assert!(recognized[0] < recognized[1], "{name}: {recognized:?}");
            let notes: Vec<String> = video.notes().iter().map(ToString::to_string).collect();
            assert!(
                notes.len() == 1 && notes[0].contains("cut off") && notes[0].contains(declared),
                "{name}: {notes:?}"
            );
        }
        for name in ["plain.mp4", "transport.ts", "ntsc.mkv", "packed.avi", "live.mkv", "raw.h264", "ps10s.mpg"] {
            assert!(open_bytes(open, &bytes(name)).unwrap().notes().is_empty(), "{name}");
        }
    }
}

#[test]
fn a_missing_index_is_named() {
    for open in openers() {
        let error = open(VideoInput::Path(&clip("cut-moov-end.mp4")), &Limits::default()).err().unwrap().to_string();
        assert!(
            error.contains("cut-moov-end.mp4") && error.contains("moov") && error.contains("incomplete"),
            "{error}"
        );
    }
}

/// Wherever a file is truncated, all frames in its metadata can be read.
#[test]
fn files_truncated_anywhere_are_errors_or_readable() {
    // Starting programs is slow.
    let steps = if cfg!(feature = "ffmpeg") { [13, 619] } else { [619, 619] };
    for (open, step) in openers().into_iter().zip(steps) {
        for name in ["cut-90.mp4", "transport.ts", "ntsc.mkv", "packed.avi", "hidden-frames.webm", "raw.h264", "a.mpg"]
        {
            let whole = bytes(name);
            let step = step * whole.len().div_ceil(4000);
            for end in (0..whole.len()).step_by(step) {
                let Ok(mut video) = open_bytes(open, &whole[..end]) else { continue };
                let frames = video.metadata().frames;
                assert!((1..=60).contains(&frames), "{name} {end}: {frames}");
                let found = read(video.as_mut(), &[frames - 1]);
                assert!(found.is_ok(), "{name} {end}: {found:?}");
            }
        }
    }
}

#[test]
fn concatenated_jpeg_files_are_a_video() {
    let mkv = bytes("odd.mkv");
    let starts: Vec<usize> = (0..mkv.len() - 1).filter(|&at| mkv[at..].starts_with(b"\xff\xd8\xff")).collect();
    let jpegs: Vec<u8> = starts
        .iter()
        .flat_map(|&start| {
            let end = mkv[start..].windows(2).position(|window| window == b"\xff\xd9").unwrap();
            mkv[start..start + end + 2].to_vec()
        })
        .collect();
    for open in openers() {
        let mut video = open_bytes(open, &jpegs).unwrap();
        assert_eq!((video.metadata().frames, video.notes().len()), (6, 0));
        let (stamps, recognized) = read(video.as_mut(), &[0, 5]).unwrap();
        assert!(recognized[0] < recognized[1]);
        assert_eq!(stamps[1].time, Ratio::new(1, 5));
        let cut = open_bytes(open, &jpegs[..jpegs.len() - 60]).unwrap();
        assert_eq!((cut.metadata().frames, cut.notes().len()), (5, 1));
    }
}
