//! Containers: frames and times, decoded with FFmpeg's libraries and with its programs.

mod support;

use smolvlm_video::{Error, FrameSource, Limits, Ratio, VideoInput, VideoMetadata};
use std::sync::Arc;
use std::time::Duration;
use support::{Opener, clip, openers, read};

fn metadata(frames: usize, fps: (u64, u64), duration: (u64, u64)) -> VideoMetadata {
    let (fps, duration) = (Ratio::new(fps.0, fps.1), Ratio::new(duration.0, duration.1));
    VideoMetadata { frames, fps, duration, height: 48, width: 64 }
}

fn open_bytes(open: Opener, bytes: Vec<u8>) -> Result<Box<dyn FrameSource>, Error> {
    open(VideoInput::Bytes(Arc::from(bytes)), &Limits::default())
}

fn open_clip(open: Opener, name: &str) -> Box<dyn FrameSource> {
    open(VideoInput::Path(&clip(name)), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn frames_of_all_containers_are_decoded() {
    for open in openers() {
        for name in ["plain.mp4", "transport.ts", "raw.h264", "ntsc.mkv", "packed.avi", "hidden-frames.webm"] {
            let mut video = open_clip(open, name);
            assert_eq!(video.metadata().frames, 40, "{name}");
            for indices in [&[0][..], &[39], &[7, 8, 9], &[0, 9, 19, 29, 39], &[3, 12, 38], &Vec::from_iter(0..40)] {
                let (stamps, recognized) = read(video.as_mut(), indices).unwrap();
                assert_eq!(recognized, indices, "{name}");
                assert_eq!(stamps.iter().map(|stamp| stamp.index).collect::<Vec<_>>(), indices, "{name}");
            }
        }
    }
}

#[test]
fn rates_times_and_durations_are_exact() {
    for open in openers() {
        assert_eq!(*open_clip(open, "plain.mp4").metadata(), metadata(40, (8, 1), (5, 1)));
        let mut video = open_clip(open, "plain.mp4");
        let (stamps, _) = read(video.as_mut(), &[0, 9, 39]).unwrap();
        let times: Vec<_> = stamps.iter().map(|stamp| stamp.time).collect();
        assert_eq!(times, [Some(Ratio::whole(0)), Ratio::new(9, 8), Ratio::new(39, 8)]);

        let ntsc = open_clip(open, "ntsc.mkv");
        assert_eq!(ntsc.metadata().fps, Ratio::new(30_000, 1_001));
        // Times in Matroska are in milliseconds.
        assert_eq!(ntsc.metadata().duration.map(|duration| duration.denominator() <= 1000), Some(true));

        // An unfinished stream does not declare its length.
        assert_eq!(*open_clip(open, "live.mkv").metadata(), metadata(12, (8, 1), (3, 2)));
        assert_eq!(open_clip(open, "one-frame.mp4").metadata().frames, 1);
    }
}

#[test]
fn frames_of_variable_rate_keep_their_times() {
    for open in openers() {
        let mut video = open_clip(open, "variable.mkv");
        assert_eq!(video.metadata().frames, 10);
        let (stamps, recognized) = read(video.as_mut(), &[4, 5, 9]).unwrap();
        assert_eq!(recognized, [4, 5, 9]);
        let times: Vec<_> = stamps.iter().map(|stamp| stamp.time).collect();
        assert_eq!(times, [Ratio::new(1, 2), Ratio::new(21, 8), Ratio::new(25, 8)]);
        assert_eq!(stamps[1].seconds(video.metadata().fps), 2);
    }
}

#[test]
fn odd_sizes_and_rotations_are_supported() {
    for open in openers() {
        let mut odd = open_clip(open, "odd.mkv");
        assert_eq!((odd.metadata().height, odd.metadata().width), (17, 33));
        assert_eq!(read(odd.as_mut(), &[0, 5]).unwrap().1.len(), 2);

        // Stored 32 high and 64 wide with a bright right half; rotated to the left, the bright half is at the top.
        let mut turned = open_clip(open, "turned.mp4");
        assert_eq!((turned.metadata().height, turned.metadata().width), (64, 32));
        let look = |_, image: &smolvlm_image::Rgb| {
            assert_eq!((image.height(), image.width()), (64, 32));
            let (top, bottom) = image.data().split_at(image.data().len() / 2);
            assert!(top.iter().all(|&level| level > 240) && bottom.iter().all(|&level| level < 15));
            Ok(())
        };
        turned.read(&[0, 2], &mut { look }).unwrap();
    }
}

#[test]
fn colors_follow_the_matrix_of_the_stream() {
    for open in openers() {
        for matrix in ["bt470bg", "bt709", "bt2020nc"] {
            let mut video = open_clip(open, &format!("colour-{matrix}.mp4"));
            let look = |_, image: &smolvlm_image::Rgb| {
                for pixel in image.data().as_chunks::<3>().0 {
                    let far = pixel.iter().zip([200_u8, 60, 30]).map(|(found, wanted)| found.abs_diff(wanted)).max();
                    assert!(far <= Some(3), "{matrix}: {pixel:?}");
                }
                Ok(())
            };
            video.read(&[1], &mut { look }).unwrap();
        }
    }
}

#[test]
fn wrong_frame_counts_in_headers_are_ignored() {
    for open in openers() {
        let mut bytes = std::fs::read(clip("packed.avi")).unwrap();
        // dwTotalFrames in the main header, and dwLength in the stream header.
        let find = |bytes: &[u8], what: &[u8]| bytes.windows(4).position(|window| window == what).unwrap();
        let (main, stream) = (find(&bytes, b"avih") + 8 + 16, find(&bytes, b"strh") + 8 + 32);
        for lie in [0_u32, 7, 4000] {
            bytes[main..main + 4].copy_from_slice(&lie.to_le_bytes());
            bytes[stream..stream + 4].copy_from_slice(&lie.to_le_bytes());
            let mut video = open_bytes(open, bytes.clone()).unwrap();
            assert_eq!(video.metadata().frames, 40, "{lie}");
            assert_eq!(read(video.as_mut(), &[39]).unwrap().1, [39], "{lie}");
        }
    }
}

#[test]
fn files_without_video_are_errors_that_name_their_streams() {
    for open in openers() {
        let error = open(VideoInput::Path(&clip("sound.m4a")), &Limits::default()).err().unwrap().to_string();
        assert!(error.contains("sound.m4a") && error.contains("no video stream") && error.contains("audio"), "{error}");
        assert!(matches!(open_bytes(open, Vec::new()), Err(Error::Empty)));
        match open_bytes(open, vec![0; 4096]) {
            Err(Error::Decode { message }) => assert_eq!(message, "invalid data found when processing input"),
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
}

/// Damages one byte at a time; nothing may panic or hang.
#[test]
fn damaged_files_do_not_panic() {
    // Starting programs is slow.
    let steps = if cfg!(feature = "ffmpeg") { [7, 331] } else { [331, 331] };
    for (open, step) in openers().into_iter().zip(steps) {
        for name in ["plain.mp4", "ntsc.mkv", "one-frame.mp4"] {
            let whole = std::fs::read(clip(name)).unwrap();
            for at in (0..whole.len()).step_by(step) {
                let mut bytes = whole.clone();
                bytes[at] ^= 0xa5;
                if let Ok(mut video) = open_bytes(open, bytes) {
                    let last = video.metadata().frames - 1;
                    let _ = read(video.as_mut(), &[last / 2]);
                }
            }
        }
    }
}

#[test]
fn limits_and_deadlines_are_errors() {
    for open in openers() {
        let open_with = |limits: Limits| open(VideoInput::Path(&clip("plain.mp4")), &limits).map(|_| ());
        let image = smolvlm_image::Limits { max_pixels: 1000, ..Default::default() };
        for limits in [
            Limits { image, ..Limits::default() },
            Limits { max_frames: 39, ..Limits::default() },
            Limits { max_bytes: 100, ..Limits::default() },
        ] {
            let error = open_with(limits.clone()).unwrap_err().to_string();
            assert!(error.contains("limit of") && error.contains("Limits::"), "{error}");
        }
        let limits = Limits { deadline: Duration::ZERO, ..Limits::default() };
        let error = open_with(limits).unwrap_err().to_string();
        assert!(error.contains("within 0 s"), "{error}");
    }
}

/// Playlists refer to other files, which must not be opened.
#[test]
fn files_of_playlists_are_not_opened() {
    for open in openers() {
        let target = clip("plain.mp4").canonicalize().unwrap();
        for text in [
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n", target.display()),
            format!("ffconcat version 1.0\nfile '{}'\n", target.display()),
        ] {
            assert!(open_bytes(open, text.into_bytes()).is_err());
        }
    }
}
