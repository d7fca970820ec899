//! Animations (GIF, APNG, WebP): index and frames. Containers, which FFmpeg decodes, are not covered.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_video::{Limits, VideoInput, open};

const SIGNATURES: [&[u8]; 3] = [b"GIF8", b"RIFF", b"\x89PNG"];

fuzz_target!(|bytes: &[u8]| {
    if !SIGNATURES.iter().any(|signature| bytes.starts_with(signature)) {
        return;
    }
    let mut limits = Limits { max_frames: 64, ..Limits::default() };
    limits.image.max_pixels = 1 << 16;
    let Ok(mut video) = open(VideoInput::Bytes(bytes.into()), &limits) else { return };
    let frames: Vec<usize> = (0..video.metadata().frames).collect();
    let mut read = 0;
    let outcome = video.read(&frames, &mut |index, _| {
        assert_eq!(index, read);
        read += 1;
        Ok(())
    });
    assert!(outcome.is_err() || read == frames.len());
});
