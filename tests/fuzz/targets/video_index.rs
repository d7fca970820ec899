//! What is read of a video file without FFmpeg: its declared lengths, and an index of its packets.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    smolvlm_video::fuzzing::structure(bytes);
    smolvlm_video::fuzzing::index(bytes);
});
