//! Peak memory of a small animation that decodes to gigabytes.
#![cfg(target_os = "linux")]

use smolvlm_video::{Limits, VideoInput, open};

const WIDTH: u16 = 1000;
const FRAMES: usize = 256;

/// The largest resident size so far, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// A GIF with a large canvas and frames of one pixel.
fn gif() -> Vec<u8> {
    let width = WIDTH.to_le_bytes();
    let mut bytes = [&b"GIF89a"[..], &width, &width, b"\x80\0\0\0\0\0\xff\xff\xff"].concat();
    for _ in 0..FRAMES {
        // The time of a frame, then its pixel.
        bytes.extend(b"\x21\xf9\x04\0\x04\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0");
    }
    bytes.push(0x3b);
    bytes
}

#[test]
fn frames_are_decoded_one_after_another() {
    let before = peak();
    let mut video = open(VideoInput::Bytes(gif().into()), &Limits::default()).unwrap();
    assert_eq!(video.metadata().frames, FRAMES);
    let indices: Vec<usize> = (0..FRAMES).step_by(FRAMES / 64).collect();
    let mut read = 0;
    video
        .read(&indices, &mut |_, frame| {
            read += usize::from(frame.width() == u32::from(WIDTH));
            Ok(())
        })
        .unwrap();
    assert_eq!(read, indices.len());
    // A frame takes 3 or 4 MB, all of them 1 GB.
    let mib = peak().saturating_sub(before) >> 20;
    assert!(mib < 48, "{mib} MiB");
}
