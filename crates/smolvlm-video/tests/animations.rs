//! Animations and folders, which need no system library.

mod support;

use smolvlm_config::{PixelConfig, Size, VideoProcessorConfig};
use smolvlm_image::{Rgb, WebpAnimation};
use smolvlm_video::{Error, Limits, Ratio, VideoInput, VideoProcessor, open};
use std::sync::Arc;
use support::{clip, open_clip, read};

#[test]
fn animations_of_all_formats_are_decoded() {
    for name in ["moving.gif", "moving.webp", "moving.apng"] {
        let mut video = open_clip(name);
        let metadata = *video.metadata();
        assert_eq!((metadata.frames, metadata.height, metadata.width), (12, 24, 32), "{name}");
        let (stamps, recognized) = read(video.as_mut(), &[0, 5, 11]).unwrap();
        assert_eq!(recognized, [0, 5, 11], "{name}");
        assert_eq!(stamps[0].time, Some(Ratio::whole(0)));
        // Times in GIF are in 1/100 s, in WebP in 1/1000 s.
        let last = stamps[2].time.unwrap().as_f64();
        assert!((last - 11.0 / 8.0).abs() < 0.06, "{name}: {last}");
        let (fps, duration) = (metadata.fps.unwrap().as_f64(), metadata.duration.unwrap().as_f64());
        assert!((fps * duration - 12.0).abs() < 1e-9, "{name}");
        // A second read starts from the first frame.
        assert_eq!(read(video.as_mut(), &[3]).unwrap().1, [3], "{name}");
    }
}

/// Partial frames with blending and disposal; smolvlm-image compares their pixels with Pillow's.
#[test]
fn webp_frames_are_composed() {
    for name in ["webp_composed-0.webp", "webp_composed-13.webp", "webp_moving_alpha-11.webp"] {
        let bytes = std::fs::read(clip("../../golden/media/decoders").join(name)).unwrap();
        let mut animation = WebpAnimation::open(&bytes, &smolvlm_image::Limits::default()).unwrap().unwrap();
        let (mut expected, mut starts): (Vec<Rgb>, Vec<u64>) = (Vec::new(), Vec::new());
        while let Some(frame) = animation.next_frame().unwrap() {
            expected.push(frame.rgb());
            starts.push(frame.start());
        }
        let mut video = open(VideoInput::Bytes(bytes.into()), &Limits::default()).unwrap();
        assert_eq!(video.metadata().frames, expected.len(), "{name}");
        let indices: Vec<usize> = (0..expected.len()).collect();
        let mut found = Vec::new();
        let mut keep = |_, image: &Rgb| {
            found.push(image.clone());
            Ok(())
        };
        video.read(&indices, &mut keep).unwrap();
        assert!(found == expected, "{name}");
        for (index, start) in starts.into_iter().enumerate() {
            assert_eq!(video.stamp(index).time, Ratio::new(start, 1000), "{name} {index}");
        }
    }
}

#[test]
fn bytes_and_files_give_the_same_frames() {
    let bytes: Arc<[u8]> = std::fs::read(clip("moving.gif")).unwrap().into();
    let mut video = open(VideoInput::Bytes(bytes), &Limits::default()).unwrap();
    assert_eq!(video.metadata(), open_clip("moving.gif").metadata());
    assert_eq!(read(video.as_mut(), &[7]).unwrap().1, [7]);
}

#[test]
fn a_folder_is_a_video_of_all_its_images() {
    let folder = tempfile::tempdir().unwrap();
    let empty = open(VideoInput::Path(folder.path()), &Limits::default()).err().unwrap().to_string();
    assert!(empty.contains("no images in this folder"), "{empty}");
    let still = std::fs::read(clip("../../golden/media/square.png")).unwrap();
    for name in ["b10.png", "b9.png", "b11.png", "._b1.png", ".b2.png", "notes.txt", "Thumbs.db"] {
        std::fs::write(folder.path().join(name), &still).unwrap();
    }
    std::fs::create_dir(folder.path().join("b12.png")).unwrap();
    let mut video = open(VideoInput::Path(folder.path()), &Limits::default()).unwrap();
    assert_eq!((video.metadata().frames, video.metadata().fps), (3, None));
    let pixels = PixelConfig { size: Size::LongestEdge(64), max_image_size: 16, ..Default::default() };
    let config = VideoProcessorConfig { pixels, ..Default::default() };
    let tiles = VideoProcessor::new(config).unwrap().process(video.as_mut()).unwrap();
    assert_eq!(tiles.pixels.len(), 3 * 3 * 16 * 16);
    assert!(tiles.pixels.chunks(768).all(|tile| tile == &tiles.pixels[..768]));
    // A single image is a video of one frame.
    let still = open(VideoInput::Path(&folder.path().join("b9.png")), &Limits::default()).unwrap();
    assert_eq!(still.metadata().frames, 1);
}

#[test]
fn damaged_animations_do_not_panic() {
    for name in ["moving.gif", "moving.webp", "moving.apng"] {
        let whole = std::fs::read(clip(name)).unwrap();
        for at in (0..whole.len()).step_by(3) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            if let Ok(mut video) = open(VideoInput::Bytes(bytes.into()), &Limits::default()) {
                let last = video.metadata().frames - 1;
                let _ = read(video.as_mut(), &[last]);
            }
            let _ = open(VideoInput::Bytes(whole[..at].into()), &Limits::default());
        }
    }
}

#[test]
fn animations_over_the_limits_are_errors() {
    let with = |limits: Limits| open(VideoInput::Path(&clip("moving.webp")), &limits).map(|_| ()).unwrap_err();
    let image = |max_pixels, max_bytes| smolvlm_image::Limits { max_pixels, max_bytes, ..Default::default() };
    for limits in [
        Limits { max_frames: 11, ..Limits::default() },
        Limits { image: image(700, 1 << 20), ..Limits::default() },
        Limits { image: image(1 << 20, 100), ..Limits::default() },
    ] {
        let error = with(limits.clone()).to_string();
        assert!(error.contains("moving.webp"), "{limits:?}: {error}");
    }
    let slow = with(Limits { deadline: std::time::Duration::ZERO, ..Limits::default() });
    assert!(matches!(slow, Error::File { source, .. } if matches!(*source, Error::Deadline { .. })));
}

#[test]
fn complete_frames_of_truncated_animations_are_used_with_a_note() {
    for (name, most) in [("moving.gif", 12), ("moving.webp", 12), ("moving.apng", 12), ("notrailer.gif", 5)] {
        let whole = std::fs::read(clip(name)).unwrap();
        let mut before = 0;
        for end in 1..whole.len() {
            let Ok(mut video) = open(VideoInput::Bytes(whole[..end].into()), &Limits::default()) else { continue };
            let frames = video.metadata().frames;
            assert!((before..=most).contains(&frames), "{name} {end}");
            // The last bytes do not belong to a frame.
            if frames > 1 && frames < most {
                assert_eq!(video.notes().len(), 1, "{name} {end}");
                assert!(read(video.as_mut(), &[0, frames - 1]).is_ok(), "{name} {end}");
            }
            before = frames;
        }
        assert!(before + 1 >= most, "{name}: {before}");
        let complete = open(VideoInput::Bytes(whole.into()), &Limits::default()).unwrap();
        assert_eq!(complete.notes().is_empty(), name != "notrailer.gif", "{name}");
    }
}

#[test]
fn a_gif_without_a_trailer_has_all_frames_and_a_note() {
    let video = open_clip("notrailer.gif");
    assert_eq!((video.metadata().frames, video.metadata().duration), (5, Ratio::new(5, 2)));
    let note = video.notes()[0].to_string();
    assert!(note.contains("cut off") && note.contains("5 frames"), "{note}");
}
