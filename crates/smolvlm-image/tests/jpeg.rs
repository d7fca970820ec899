//! Comparison of JPEG files with the checksums of Pillow's pixels (`tests/golden/jpeg.py`).

mod support;

use smolvlm_image::{Error, Limits, decode, dimensions};
use std::path::PathBuf;
use support::crc32;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/jpeg")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

#[test]
fn pixels_equal_those_of_the_reference() {
    let expected = std::fs::read_to_string(folder().join("expected.txt")).unwrap();
    let mut files = 0;
    for line in expected.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let result = decode(&file(words[0]), &Limits::default());
        match words[1..] {
            ["refused"] => assert!(matches!(result, Err(Error::Decode { .. })), "{line}"),
            [width, height, sum] => {
                let image = result.unwrap_or_else(|error| panic!("{line}: {error}"));
                let size = (image.width().to_string(), image.height().to_string());
                assert_eq!(size, (width.to_owned(), height.to_owned()), "{line}");
                assert_eq!(format!("{:08x}", crc32(image.data())), sum, "{line}");
            }
            _ => panic!("{line}"),
        }
        files += 1;
    }
    let found = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(files + 1, found, "expected.txt is not up to date");
}

#[test]
fn truncated_and_damaged_files_do_not_panic() {
    for name in ["420_restart_37x29.jpg", "progressive_44x36.jpg", "arithmetic_39x25.jpg", "lossless_rgb_14x11.jpg"] {
        let whole = file(name);
        for length in 0..whole.len() {
            let result = decode(&whole[..length], &Limits::default());
            assert!(result.is_err() || length + 2 >= whole.len(), "{length} bytes of {name} are an image");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            let limits = Limits { max_pixels: 1 << 16, ..Limits::default() };
            if let Ok(image) = decode(&damaged, &limits) {
                assert_eq!(dimensions(&damaged, &limits).unwrap(), (image.height(), image.width()));
            }
        }
    }
}

/// A progressive file with `scans` scans, each with an empty band of coefficients.
fn many_scans(scans: usize) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
    bytes.extend([1; 64]);
    bytes.extend(b"\xff\xc2\0\x0b\x08\0\x10\0\x10\x01\x01\x11\0\xff\xc4\0\x14\0\x01");
    bytes.extend([0; 16]);
    bytes.extend(b"\xff\xc4\0\x14\x10\x01");
    bytes.extend([0; 16]);
    bytes.extend(b"\xff\xda\0\x08\x01\x01\0\0\0\0\0");
    for _ in 1..scans {
        bytes.extend(b"\xff\xda\0\x08\x01\x01\0\x01\x3f\0\0");
    }
    bytes.extend(b"\xff\xd9");
    bytes
}

#[test]
fn excessive_scans_are_an_error() {
    let image = decode(&many_scans(1000), &Limits::default()).unwrap();
    assert!(image.data().iter().all(|&sample| sample == 128));
    let error = decode(&many_scans(1001), &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("1001 scans"), "{error}");
}
