//! Comparison of FFmpeg's programs with its libraries.

mod support;

use smolvlm_video::{Isolation, Limits, VideoInput, open, open_with_programs};
use support::{clip, has_programs, openers};

/// The pixels of the frames.
#[cfg(feature = "ffmpeg")]
fn pixels(video: &mut dyn smolvlm_video::FrameSource, indices: &[usize]) -> Vec<smolvlm_image::Rgb> {
    let mut frames = Vec::new();
    let mut keep = |_, image: &smolvlm_image::Rgb| {
        frames.push(image.clone());
        Ok(())
    };
    video.read(indices, &mut keep).unwrap();
    frames
}

/// Frames, times, notes and pixels are equal, whether decoded with FFmpeg's libraries or its programs.
#[cfg(feature = "ffmpeg")]
#[test]
fn programs_and_libraries_agree() {
    if !has_programs() {
        return;
    }
    let mut clips = 0;
    for entry in std::fs::read_dir(clip("")).unwrap() {
        let path = entry.unwrap().path();
        let input = || VideoInput::Path(&path);
        let Ok(mut linked) = smolvlm_video::open(input(), &Limits::default()) else {
            assert!(open_with_programs(input(), &Limits::default()).is_err(), "{}", path.display());
            continue;
        };
        let limits = Limits { threads: Some(1), ..Limits::default() };
        let mut programs = open_with_programs(input(), &limits).unwrap();
        assert_eq!(linked.metadata(), programs.metadata(), "{}", path.display());
        assert_eq!(linked.notes(), programs.notes(), "{}", path.display());
        let frames = linked.metadata().frames;
        let all: Vec<usize> = (0..frames).collect();
        for at in 0..frames {
            assert_eq!(linked.stamp(at), programs.stamp(at), "{}", path.display());
        }
        for indices in [&all[..], &[frames / 2], &[frames - 1]] {
            let (linked, programs) = (pixels(linked.as_mut(), indices), pixels(programs.as_mut(), indices));
            assert_eq!(linked.len(), indices.len());
            assert!(linked == programs, "{}: other pixels", path.display());
        }
        clips += 1;
    }
    assert!(clips > 20, "{clips}");
}

/// Paths that look like options or other protocols.
#[test]
fn hostile_file_names_are_opened_as_files() {
    if !has_programs() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(clip("plain.mp4")).unwrap();
    for name in ["-i.mp4", "a b'c;d.mp4", "concat:x|y.mp4", "http:host.mp4", "%03d.mp4", "f\u{fc}r.mp4"] {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let mut video = open_with_programs(VideoInput::Path(&path), &Limits::default()).unwrap();
        let mut count = 0;
        video
            .read(&[3, 30], &mut |_, _| {
                count += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!((video.metadata().frames, count), (40, 2), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn file_names_need_not_be_utf8() {
    use smolvlm_video::MediaKind;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(name));
    std::fs::copy(clip("plain.mp4"), at(b"\xff.mp4")).unwrap();
    let frames = at(b"frames\xff");
    std::fs::create_dir(&frames).unwrap();
    for name in [&b"f10\xff.png"[..], b"f2\xff.png", b"f2\xfe.png"] {
        let name = frames.join(std::ffi::OsStr::from_bytes(name));
        std::fs::copy(clip("../../golden/media/square.png"), name).unwrap();
    }
    std::fs::write(frames.join(std::ffi::OsStr::from_bytes(b"f3\xff.png")), "words").unwrap();
    assert_eq!(MediaKind::of_path(&at(b"\xff.mp4")), Some(MediaKind::Video));
    let video = smolvlm_video::open(VideoInput::Path(&frames), &Limits::default()).unwrap();
    assert_eq!((video.metadata().frames, video.notes().len()), (3, 1));
    for open in openers() {
        let mut video = open(VideoInput::Path(&at(b"\xff.mp4")), &Limits::default()).unwrap();
        assert!(video.read(&[0, 39], &mut |_, _| Ok(())).is_ok());
    }
}

#[test]
fn an_error_of_the_sink_ends_the_program() {
    if !has_programs() {
        return;
    }
    let mut video = open_with_programs(VideoInput::Path(&clip("plain.mp4")), &Limits::default()).unwrap();
    let error = video.read(&[0, 1, 2], &mut |_, _| Err(smolvlm_video::Error::Empty)).unwrap_err();
    assert!(matches!(error, smolvlm_video::Error::Empty));
    assert!(video.read(&[0], &mut |_, _| Ok(())).is_ok());
}

/// Containers with common codecs are decoded as without limits.
#[test]
fn isolated_programs_decode_the_same_frames() {
    if !has_programs() {
        return;
    }
    let isolated = Limits { isolation: Some(Isolation::default()), ..Limits::default() };
    for name in ["plain.mp4", "transport.ts", "hidden-frames.webm", "packed.avi", "ntsc.mkv"] {
        let path = clip(name);
        let read = |limits: &Limits, indices: &[usize]| {
            let mut video = open_with_programs(VideoInput::Path(&path), limits).unwrap();
            support::read(video.as_mut(), indices).unwrap()
        };
        assert_eq!(read(&isolated, &[0, 7, 39]), read(&Limits::default(), &[0, 7, 39]), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn isolated_programs_are_limited() {
    if !has_programs() {
        return;
    }
    let little = Isolation { max_memory: 16 << 20, ..Isolation::default() };
    let limits = Limits { isolation: Some(little), ..Limits::default() };
    // Also where FFmpeg's libraries are linked.
    let error = open(VideoInput::Path(&clip("plain.mp4")), &limits).map(drop).unwrap_err();
    assert!(matches!(error, smolvlm_video::Error::File { .. }), "{error}");
    assert!(open(VideoInput::Path(&clip("plain.mp4")), &Limits::default()).is_ok());
}
