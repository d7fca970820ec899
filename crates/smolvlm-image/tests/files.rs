//! Tests of decoding, limits, and robustness against damaged files.

mod support;

use image::{DynamicImage, ImageFormat, RgbImage};
use smolvlm_image::{Error, ImageInput, ImageProcessor, Limits, Rgb, decode, decode_file, dimensions};
use std::io::Cursor;
use std::path::Path;
use support::Random;

const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff];

/// An image with few colors, which GIF can represent exactly.
fn picture() -> RgbImage {
    RgbImage::from_fn(37, 23, |x, y| image::Rgb([(x / 6 * 40) as u8, (y / 5 * 50) as u8, ((x + y) % 3 * 100) as u8]))
}

fn encode(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture()).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn limits() -> Limits {
    Limits { max_pixels: 1 << 20, ..Limits::default() }
}

#[test]
fn all_formats_are_decoded() {
    for format in FORMATS {
        let bytes = encode(format);
        assert_eq!(dimensions(&bytes, &limits()).unwrap(), (23, 37), "{format:?}");
        let image = decode(&bytes, &limits()).unwrap();
        assert_eq!((image.height(), image.width()), (23, 37), "{format:?}");
        if format != ImageFormat::Jpeg {
            assert_eq!(image.data(), picture().as_raw(), "{format:?}");
        }
    }
}

#[test]
fn jpeg_exif_orientation_is_applied() {
    let upright = decode(&encode(ImageFormat::Jpeg), &limits()).unwrap();
    // An APP1 segment with one little-endian IFD entry: tag 0x0112, type 3, one value, 6.
    let exif = b"\xff\xe1\x00\x22Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut bytes = encode(ImageFormat::Jpeg);
    bytes.splice(2..2, exif.iter().copied());
    assert_eq!(dimensions(&bytes, &limits()).unwrap(), (37, 23));
    let turned = decode(&bytes, &limits()).unwrap();
    assert_eq!((turned.height(), turned.width()), (37, 23));
    // A quarter turn clockwise: the first row is the first column from bottom to top.
    let column = (0..23).rev().map(|y| &upright.data()[y * 37 * 3..][..3]);
    assert!(turned.data()[..23 * 3].chunks(3).eq(column));
}

#[test]
fn truncated_files_are_errors() {
    for format in FORMATS {
        let bytes = encode(format);
        // The last bytes of some formats do not affect the pixels.
        let end = bytes.len() - if format == ImageFormat::Gif { 2 } else { 1 };
        for length in (0..end).step_by(1 + bytes.len() / 500) {
            let result = decode(&bytes[..length], &limits());
            let unread = matches!(&result, Ok(image) if image.data() == picture().as_raw());
            assert!(unread || result.is_err(), "{format:?}: {length} of {} bytes are an image", bytes.len());
            if let Err(error) = result {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
}

#[test]
fn damaged_files_do_not_panic() {
    let mut random = Random(0x5eed);
    for format in FORMATS {
        let whole = encode(format);
        for _ in 0..2500 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random.below(4) {
                // Headers are damaged more often than the rest.
                let reach = if random.below(3) == 0 { bytes.len().min(80) } else { bytes.len() };
                let at = random.below(reach);
                match random.below(4) {
                    0 => bytes[at] = random.below(256) as u8,
                    1 => bytes[at] ^= 1 << random.below(8),
                    2 => bytes[at] = 0xff,
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let size = dimensions(&bytes, &limits());
            if let Ok(image) = decode(&bytes, &limits()) {
                assert_eq!(size.unwrap(), (image.height(), image.width()));
                assert!(u64::from(image.height()) * u64::from(image.width()) <= limits().max_pixels);
            }
        }
    }
}

/// A PNG file with only a header.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend(b"\x08\x02\0\0\0\0\0\0\0");
    bytes
}

#[test]
fn oversized_headers_are_errors_with_sizes() {
    let refused = |bytes: &[u8], found: u64, limit: u64| {
        for error in
            [decode(bytes, &Limits::default()).unwrap_err(), dimensions(bytes, &Limits::default()).unwrap_err()]
        {
            assert!(matches!(error, Error::Limit { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(&found.to_string()) && text.contains(&limit.to_string()), "{text}");
            // The message names the CLI option and the field that raise the limit.
            assert!(text.contains("--max-image-") && text.contains("Limits::max_"), "{text}");
        }
    };
    refused(&png_header(60_000, 60_000), 3_600_000_000, Limits::default().max_pixels);
    refused(&png_header(2_000_000, 1), 2_000_000, 1 << 20);
    refused(&png_header(1, 2_000_000), 2_000_000, 1 << 20);
    // A JPEG header: start, frame of 65500 x 65500 with one component, scan.
    let jpeg = b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\xd9";
    refused(jpeg, 65_500 * 65_500, Limits::default().max_pixels);
    let small = Limits { max_bytes: 100, ..Limits::default() };
    let bytes = encode(ImageFormat::Png);
    let error = decode(&bytes, &small).unwrap_err();
    assert!(matches!(error, Error::Limit { found, limit: 100, .. } if found == bytes.len() as u64), "{error}");
}

#[test]
fn limits_can_be_raised() {
    let bytes = encode(ImageFormat::Png);
    let few = Limits { max_pixels: 37 * 23 - 1, ..Limits::default() };
    assert!(matches!(decode(&bytes, &few), Err(Error::Limit { found: 851, limit: 850, .. })));
    assert!(decode(&bytes, &Limits { max_pixels: 37 * 23, ..few }).is_ok());
    let narrow = Limits { max_width: 36, ..Limits::default() };
    assert!(matches!(dimensions(&bytes, &narrow), Err(Error::Limit { found: 37, limit: 36, .. })));
}

#[test]
fn non_image_input_is_an_error() {
    assert!(matches!(decode(&[], &limits()), Err(Error::Empty)));
    assert!(matches!(decode(b"<svg/>", &limits()), Err(Error::UnknownFormat)));
    // A format that is recognized by its first bytes but not supported.
    assert!(matches!(decode(b"\0\0\x01\0\x01\0\x10\x10\0\0\0\0\0\0\0\0", &limits()), Err(Error::UnknownFormat)));

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let text = folder.join("text.jpg");
    std::fs::write(&text, "not a picture").unwrap();
    let error = decode_file(&text, &limits()).unwrap_err();
    assert!(matches!(&error, Error::File { source, .. } if matches!(**source, Error::UnknownFormat)), "{error}");
    assert!(error.to_string().contains("text.jpg"), "{error}");
    assert!(matches!(decode_file(folder, &limits()), Err(Error::Io { .. })));
    let error = decode_file(&folder.join("missing.png"), &limits()).unwrap_err().to_string();
    assert!(error.contains("missing.png"), "{error}");
}

#[test]
fn all_input_kinds_give_the_same_pixels() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("picture.png");
    let bytes = encode(ImageFormat::Png);
    std::fs::write(&path, &bytes).unwrap();
    let pixels = Rgb::new(37, 23, picture().into_raw()).unwrap();
    let processor = ImageProcessor::new(Default::default()).unwrap();
    for input in [ImageInput::from(path.as_path()), ImageInput::from(&bytes[..]), ImageInput::from(&pixels)] {
        assert!(processor.load(input).unwrap() == pixels);
    }
}
