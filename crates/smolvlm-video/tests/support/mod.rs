//! Clips of the corpus, and what their frames look like.
#![allow(dead_code)] // Each test binary uses some of these.

use smolvlm_video::{Error, FrameSource, FrameStamp, Limits, VideoInput, open, open_with_programs};
use std::path::PathBuf;

/// A file of the corpus, made by `tests/corpus/clips.sh`.
pub fn clip(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/clips").join(name)
}

/// Opens videos.
pub type Opener = fn(VideoInput<'_>, &Limits) -> Result<Box<dyn FrameSource>, Error>;

/// The ways to open a container that this build and this machine have: FFmpeg's libraries, and its programs.
pub fn openers() -> Vec<Opener> {
    let has_programs = ["ffmpeg", "ffprobe"].iter().all(|program| {
        let version = std::process::Command::new(program).arg("-version").output();
        version.is_ok_and(|output| output.status.success())
    });
    let mut openers: Vec<Opener> = Vec::new();
    if cfg!(feature = "ffmpeg") {
        openers.push(open);
    }
    if has_programs {
        openers.push(open_with_programs);
    }
    openers
}

/// Opens a clip with the default limits.
pub fn open_clip(name: &str) -> Box<dyn FrameSource> {
    open(VideoInput::Path(&clip(name)), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Which frame a picture is, by its gray: frame `k` has level `16 + 5 k`.
pub fn seen(pixels: &[u8]) -> usize {
    let mean = pixels.iter().map(|&level| f64::from(level)).sum::<f64>() / pixels.len() as f64;
    ((mean - 16.0) / 5.0).round() as usize
}

/// Reads frames; gives their stamps and which frames they are by their looks.
pub fn read(source: &mut dyn FrameSource, indices: &[usize]) -> Result<(Vec<FrameStamp>, Vec<usize>), Error> {
    let stamps = indices.iter().map(|&index| source.stamp(index)).collect();
    let (mut given, mut looks) = (Vec::new(), Vec::new());
    source.read(indices, &mut |index, image| {
        given.push(index);
        looks.push(seen(image.data()));
        Ok(())
    })?;
    assert_eq!(given, indices);
    Ok((stamps, looks))
}
