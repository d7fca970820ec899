//! Tests of the container's checks and of frame composition. tests/decoders.rs compares pixels with Pillow's.

use super::canvas::Canvas;
use super::chunks::Chunk;
use super::container::{Container, truncated_end};
use super::frame::{Frame, Pixels, Rectangle};
use crate::{Error, Limits, WebpAnimation};
use std::slice::from_ref;

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let padding = vec![0; data.len() % 2];
    [&kind[..], &(data.len() as u32).to_le_bytes(), data, &padding].concat()
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let chunks = chunks.concat();
    [&b"RIFF"[..], &(chunks.len() as u32 + 4).to_le_bytes(), b"WEBP", &chunks].concat()
}

fn u24(number: u32) -> [u8; 3] {
    let [a, b, c, _] = number.to_le_bytes();
    [a, b, c]
}

fn vp8x(flags: u8, width: u32, height: u32) -> Vec<u8> {
    chunk(b"VP8X", &[&[flags, 0, 0, 0][..], &u24(width - 1), &u24(height - 1)].concat())
}

fn anim() -> Vec<u8> {
    chunk(b"ANIM", &[0; 6])
}

/// A VP8L chunk with only a header.
fn vp8l(width: u32, height: u32) -> Vec<u8> {
    chunk(b"VP8L", &[&[0x2f][..], &((width - 1) | ((height - 1) << 14)).to_le_bytes(), &[0]].concat())
}

fn vp8(width: u16, height: u16) -> Vec<u8> {
    let sides = [width.to_le_bytes(), height.to_le_bytes()].concat();
    chunk(b"VP8 ", &[&[0x30, 0, 0, 0x9d, 0x01, 0x2a][..], &sides].concat())
}

/// A frame at twice these offsets, with a size of 1 x 1 in its header.
fn anmf(x: u32, y: u32, images: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"ANMF", &[&u24(x)[..], &u24(y), &[0; 6], &u24(40), &[1], &images.concat()].concat())
}

#[test]
fn valid_containers_are_accepted() {
    let alpha = chunk(b"ALPH", b"\0\xff");
    let unknown = chunk(b"abcd", b"odd");
    let cases: [(&str, Vec<Vec<u8>>, usize, bool); 9] = [
        ("lossy", vec![vp8(6, 4)], 1, false),
        ("lossless, then anything", vec![vp8l(6, 4), unknown.clone(), vp8x(0, 1, 1)], 1, false),
        ("extended", vec![vp8x(0, 6, 4), unknown.clone(), vp8l(6, 4), unknown.clone()], 1, false),
        ("alpha", vec![vp8x(0x10, 6, 4), alpha.clone(), vp8(6, 4)], 1, true),
        ("alpha without a flag", vec![vp8x(0, 6, 4), alpha.clone(), vp8(6, 4)], 1, false),
        ("alpha without a flag after the image", vec![vp8x(0, 6, 4), vp8(6, 4), alpha.clone()], 1, false),
        ("animated", vec![vp8x(0x12, 6, 4), anim(), anmf(1, 1, &[vp8(4, 2)]), anmf(0, 0, &[vp8l(6, 4)])], 2, true),
        (
            "a frame without an image",
            vec![vp8x(2, 6, 4), anim(), anmf(0, 0, &[unknown]), anmf(0, 0, &[vp8(1, 1)])],
            1,
            false,
        ),
        ("a second ANIM", vec![vp8x(2, 6, 4), anim(), anim(), anmf(2, 1, &[alpha, vp8(2, 2)])], 1, false),
    ];
    for (name, chunks, frames, has_alpha) in cases {
        let bytes = [&file(&chunks)[..], b"after the end"].concat();
        let container = Container::open(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((container.width, container.height, container.frames.len()), (6, 4, frames), "{name}");
        assert_eq!(container.has_alpha, has_alpha, "{name}");
    }
}

#[test]
fn invalid_containers_are_rejected() {
    let alpha = chunk(b"ALPH", b"\0\xff");
    let flagged = |flags, more: &[Vec<u8>]| [&[vp8x(flags, 6, 4)], more].concat();
    let moving = |frames: &[Vec<u8>]| [&[vp8x(2, 6, 4), anim()], frames].concat();
    let cases: [(&str, Vec<Vec<u8>>); 26] = [
        ("nothing", vec![]),
        ("an unknown first chunk", vec![chunk(b"abcd", b"data"), vp8(6, 4)]),
        ("no side", vec![vp8(0, 4)]),
        ("no image", vec![vp8x(0, 6, 4)]),
        ("no image but metadata", flagged(8, &[chunk(b"EXIF", b"data")])),
        ("two images", flagged(0, &[vp8(6, 4), vp8(6, 4)])),
        ("another size", flagged(0, &[vp8(6, 5)])),
        ("an unknown flag", flagged(1, &[vp8(6, 4)])),
        ("a long VP8X", vec![chunk(b"VP8X", &[0, 0, 0, 0, 5, 0, 0, 3, 0, 0, 0]), vp8(6, 4)]),
        ("two VP8X", flagged(0, &[vp8x(0, 6, 4), vp8(6, 4)])),
        ("alpha alone", flagged(0x10, from_ref(&alpha))),
        ("alpha after the image", flagged(0x10, &[vp8(6, 4), alpha.clone()])),
        ("alpha apart from the image", flagged(0x10, &[alpha.clone(), chunk(b"abcd", b""), vp8(6, 4)])),
        ("alpha with lossless data", flagged(0x10, &[alpha.clone(), vp8l(6, 4)])),
        ("an image in an animation", moving(&[vp8(6, 4)])),
        ("no frames", moving(&[])),
        ("frames before ANIM", flagged(2, &[anmf(0, 0, &[vp8(6, 4)]), anim()])),
        ("a short ANIM", flagged(2, &[chunk(b"ANIM", &[0; 4]), anmf(0, 0, &[vp8(6, 4)])])),
        ("frames without a flag", flagged(0, &[anim(), anmf(0, 0, &[vp8(6, 4)])])),
        ("a frame too far right", moving(&[anmf(1, 0, &[vp8(5, 4)])])),
        ("a frame too far down", moving(&[anmf(0, 2, &[vp8(6, 1)])])),
        ("a frame larger than the canvas", moving(&[anmf(0, 0, &[vp8(7, 4)])])),
        ("a frame of alpha alone", moving(&[anmf(0, 0, from_ref(&alpha))])),
        ("a frame's alpha after its image", moving(&[anmf(0, 0, &[vp8(6, 4), alpha])])),
        ("two images in a frame", moving(&[anmf(0, 0, &[vp8(6, 4), vp8(6, 4)])])),
        ("an image that ends after its frame", moving(&[anmf(0, 0, &[]), vp8(6, 4)])),
    ];
    for (name, chunks) in cases {
        assert!(Container::open(&file(&chunks)).is_err(), "{name}");
    }
    for (width, height) in [(1 << 24, 1 << 8), (1 << 16, 1 << 16)] {
        let bytes = file(&[vp8x(2, width, height), anim(), anmf(0, 0, &[vp8(1, 1)])]);
        assert!(Container::open(&bytes).unwrap_err().contains("pixels"), "{width} x {height}");
    }
    // A chunk that is longer than the file.
    let mut bytes = file(&[vp8x(0, 6, 4), vp8(6, 4), chunk(b"abcd", b"1234")]);
    let size_at = bytes.len() - 8;
    bytes[size_at] = 5;
    assert!(Container::open(&bytes).unwrap_err().contains("abcd"));
}

#[test]
fn truncated_files_yield_complete_frames() {
    let bytes = file(&[vp8x(2, 6, 4), anim(), anmf(0, 0, &[vp8(6, 4)]), anmf(0, 0, &[vp8(6, 4)])]);
    let whole = WebpAnimation::open(&bytes, &Limits::default()).unwrap().unwrap();
    assert_eq!((whole.frames(), whole.is_truncated()), (2, false));
    let frame = anmf(0, 0, &[vp8(6, 4)]).len();
    for end in 12..bytes.len() {
        let cut = &bytes[..end];
        assert!(truncated_end(cut).unwrap() <= end);
        assert!(Container::open(cut).is_err(), "{end}");
        if end >= bytes.len() - 2 * frame {
            let animation = WebpAnimation::open(cut, &Limits::default()).unwrap().unwrap();
            let expected = usize::from(end >= bytes.len() - frame);
            assert_eq!((animation.frames(), animation.is_truncated()), (expected, true), "{end}");
        }
    }
}

#[test]
fn limits_are_checked_before_allocation() {
    let bytes = file(&[vp8x(2, 1 << 15, 1 << 15), anim(), anmf(0, 0, &[vp8(1, 1)])]);
    let error = WebpAnimation::open(&bytes, &Limits::default()).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Limit { found: 0x4000_0000, .. }), "{error}");
    let limits = Limits { max_bytes: 10, ..Limits::default() };
    assert!(matches!(WebpAnimation::open(&bytes, &limits).map(|_| ()), Err(Error::Limit { found: 86.., .. })));
    // Neither a still image nor other data is an animation.
    assert!(WebpAnimation::open(&file(&[vp8(6, 4)]), &Limits::default()).unwrap().is_none());
    assert!(WebpAnimation::open(b"GIF89a", &Limits::default()).unwrap().is_none());
    // A frame with damaged data.
    let bytes = file(&[vp8x(2, 6, 4), anim(), anmf(0, 0, &[vp8(6, 4)])]);
    let mut animation = WebpAnimation::open(&bytes, &Limits::default()).unwrap().unwrap();
    assert!(matches!(animation.next_frame().map(|_| ()), Err(Error::Decode { .. })));
}

fn frame(x: u32, width: u32, is_disposed: bool, is_blended: bool) -> Frame<'static> {
    let rectangle = Rectangle { x, y: 0, width, height: 1 };
    let image = Chunk { kind: *b"VP8L", padded: &[], size: 0 };
    Frame { rectangle, duration: 0, is_disposed, is_blended, has_alpha: true, alpha: None, image }
}

/// Canvases of one row, with values computed by hand from libwebp's formula.
#[test]
fn frames_are_blended_and_disposed() {
    let mut canvas = Canvas::new(3, 1).unwrap();
    let rgb = |canvas: &Canvas| canvas.rgb(false);
    canvas.draw(&frame(0, 3, false, false), &Pixels::Rgb([100; 9].to_vec()));
    // Opaque, transparent, and half transparent: alpha 128 + (255 * 128 >> 8) = 255; (50 * 128 + 100 * 127) / 255 =
    // 74.9.
    let pixels = [[9, 9, 9, 255], [9, 9, 9, 0], [50, 50, 50, 128]].concat();
    canvas.draw(&frame(0, 3, false, true), &Pixels::Rgba(pixels.clone()));
    assert_eq!(rgb(&canvas), [9, 9, 9, 100, 100, 100, 74, 74, 74]);
    // Without blending, transparent pixels replace those of the canvas.
    canvas.draw(&frame(2, 1, true, false), &Pixels::Rgba(vec![7, 8, 9, 0]));
    assert_eq!(rgb(&canvas), [9, 9, 9, 100, 100, 100, 7, 8, 9]);
    // The previous frame's pixel is cleared; there, the frame is copied, and elsewhere it is blended.
    canvas.draw(&frame(1, 2, true, true), &Pixels::Rgba([[1, 2, 3, 0], [4, 5, 6, 0]].concat()));
    assert_eq!(rgb(&canvas), [9, 9, 9, 100, 100, 100, 4, 5, 6]);
    canvas.draw(&frame(0, 1, false, true), &Pixels::Rgba(vec![0; 4]));
    assert_eq!(rgb(&canvas), [9, 9, 9, 0, 0, 0, 0, 0, 0]);
    assert_eq!(canvas.rgb(true), [9, 9, 9, 255, 255, 255, 255, 255, 255]);
    // A key frame clears the canvas; the frame after a disposed key frame is a key frame, too.
    canvas.draw(&frame(0, 3, true, false), &Pixels::Rgba(pixels));
    canvas.draw(&frame(0, 1, true, true), &Pixels::Rgba(vec![1, 2, 3, 0]));
    assert_eq!(rgb(&canvas), [1, 2, 3, 0, 0, 0, 0, 0, 0]);
    canvas.draw(&frame(2, 1, false, true), &Pixels::Rgba(vec![1, 2, 3, 0]));
    assert_eq!(rgb(&canvas), [0, 0, 0, 0, 0, 0, 1, 2, 3]);
}
