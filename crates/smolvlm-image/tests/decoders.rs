//! Comparison of all formats and variants with Pillow 13 (tests/golden/processing_decoders.py).

mod support;

use serde_json::Value;
use smolvlm_image::{ImageFormat, Limits, Rgb, WebpAnimation, decode, decode_file, dimensions, file_dimensions};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use support::{Random, crc32};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// Files that Pillow rejects or cannot convert, but that are decoded here: damage that Pillow reports although all
/// pixels are present, and TIFF combinations that it does not support.
fn is_read_beyond_pillow(file: &str) -> bool {
    file.ends_with(".tif")
}

/// Files that Pillow decodes but that are rejected here: TIFF in CIELAB (photometric 8).
fn is_rejected(file: &str) -> bool {
    file.starts_with("tiff_8_")
}

#[test]
fn pixels_match_pillow() {
    let cases = std::fs::read(golden().join("processing/decoders.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    let (mut compared, mut differing) = (HashMap::new(), Vec::new());
    for case in &cases {
        let file = case["file"].as_str().unwrap();
        let path = golden().join("media/decoders").join(file);
        let format = ImageFormat::of(&std::fs::read(&path).unwrap()).unwrap();
        let found = decode_file(&path, &Limits::default());
        if case.get("error").is_some() {
            assert!(found.is_err() || is_read_beyond_pillow(file), "{file} is decoded");
            continue;
        }
        if is_rejected(file) {
            assert!(found.is_err(), "{file} is decoded");
            continue;
        }
        let image = found.unwrap_or_else(|error| panic!("{error}"));
        let expected = ["height", "width"].map(|side| case[side].as_u64().unwrap() as u32);
        assert_eq!([image.height(), image.width()], expected, "{file}");
        assert_eq!(file_dimensions(&path, &Limits::default()).unwrap(), expected.into(), "{file}");
        if checksum(&image) != case["crc32"].as_u64().unwrap() {
            differing.push(file);
        }
        *compared.entry(format).or_insert(0) += 1;
    }
    assert!(differing.is_empty(), "other pixels: {differing:?}");
    for format in
        [ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Webp]
    {
        assert!(compared.get(&format).is_some_and(|&count| count >= 12), "{format}: {compared:?}");
    }
}

fn checksum(image: &Rgb) -> u64 {
    crc32(image.data()).into()
}

#[test]
fn animation_frames_match_pillow() {
    let cases = std::fs::read(golden().join("processing/decoders.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    let (mut files, mut compared) = (0, 0);
    for case in &cases {
        let file = case["file"].as_str().unwrap();
        let bytes = std::fs::read(golden().join("media/decoders").join(file)).unwrap();
        let Some(frames) = case.get("frames").and_then(Value::as_array) else {
            // Pillow reads no frame of a truncated file; here, its complete frames are used.
            if let Ok(Some(mut animation)) = WebpAnimation::open(&bytes, &Limits::default()) {
                assert!(animation.is_truncated() || animation.next_frame().is_err(), "{file} is decoded");
            }
            continue;
        };
        let mut animation = WebpAnimation::open(&bytes, &Limits::default()).unwrap().unwrap();
        let mut found = Vec::new();
        while let Ok(Some(frame)) = animation.next_frame() {
            found.push([frame.start(), frame.duration().into(), checksum(&frame.rgb())]);
        }
        let expected = |frame: &Value| [0, 1, 2].map(|at| frame[at].as_u64().unwrap());
        assert_eq!(found, frames.iter().map(expected).collect::<Vec<_>>(), "{file}");
        (files, compared) = (files + 1, compared + found.len());
    }
    assert!(files >= 30 && compared >= 100, "{files} files, {compared} frames");
}

#[test]
fn damaged_variants_do_not_panic() {
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    let mut random = Random(0x5eed);
    let mut files: Vec<_> =
        std::fs::read_dir(golden().join("media/decoders")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let whole = std::fs::read(&path).unwrap();
        for _ in 0..30 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random.below(4) {
                let reach = if random.below(2) == 0 { bytes.len().min(120) } else { bytes.len() };
                let at = random.below(reach);
                match random.below(5) {
                    0 => bytes[at] = random.below(256) as u8,
                    1 => bytes[at] ^= 1 << random.below(8),
                    2 => bytes[at] = 0xff,
                    3 => bytes[at] = 0,
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let size = dimensions(&bytes, &limits);
            if let Ok(image) = decode(&bytes, &limits) {
                assert_eq!(size.unwrap(), (image.height(), image.width()), "{}", path.display());
            }
            if let Ok(Some(mut animation)) = WebpAnimation::open(&bytes, &limits) {
                while let Ok(Some(frame)) = animation.next_frame() {
                    let image = frame.rgb();
                    assert_eq!(animation.size(), (image.width(), image.height()), "{}", path.display());
                }
            }
        }
    }
}
