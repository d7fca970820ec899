//! Tests of TIFF files that available encoders cannot write.

use smolvlm_image::{Limits, Rgb, decode};

/// A little-endian TIFF file with one strip. All values are of type LONG.
fn tiff(tags: &[(u16, u16)], strip: &[u8]) -> Vec<u8> {
    tiff_of_size(tags, strip, strip.len())
}

/// As above, with the given strip size in bytes.
fn tiff_of_size(tags: &[(u16, u16)], strip: &[u8], size: usize) -> Vec<u8> {
    let mut tags: Vec<_> = tags.iter().map(|&(tag, value)| (tag, u32::from(value))).collect();
    tags.extend([(273, 8), (279, size as u32)]);
    tags.sort();
    let mut file = b"II\x2a\0".to_vec();
    file.extend((8 + strip.len() as u32).to_le_bytes());
    file.extend(strip);
    file.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        file.extend(tag.to_le_bytes());
        file.extend([4, 0, 1, 0, 0, 0]);
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

fn read(file: &[u8]) -> Result<Rgb, String> {
    decode(file, &Limits::default()).map_err(|error| error.to_string())
}

#[test]
fn jpeg_strip_markers_do_not_set_the_color_space() {
    let jpeg = include_bytes!("jpeg/rgb_17x15.jpg");
    let expected = read(jpeg).unwrap();
    // After a JFIF marker, three components would be YCbCr; the directory specifies RGB.
    let with_jfif = [b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0", &jpeg[2..]].concat();
    assert!(read(&with_jfif).unwrap() != expected);
    let tags = [(256, 17), (257, 15), (258, 8), (259, 7), (262, 2), (277, 3), (278, 15)];
    assert!(read(&tiff(&tags, &with_jfif)).unwrap() == expected);
}

#[test]
fn jpeg_strips_must_match_the_directory() {
    let jpeg = include_bytes!("jpeg/rgb_17x15.jpg");
    let with = |bits, photometric, samples| {
        let tags = [(256, 17), (257, 15), (258, bits), (259, 7), (262, photometric), (277, samples), (278, 15)];
        read(&tiff(&tags, jpeg))
    };
    assert!(with(8, 2, 3).is_ok());
    assert!(with(8, 1, 1).unwrap_err().contains("components"));
    assert!(with(8, 5, 4).unwrap_err().contains("components"));
    assert!(with(16, 2, 3).unwrap_err().contains("8 bits"));
}

#[test]
fn predictors_require_supported_samples() {
    let with = |format, predictor| {
        let tags = [(256, 1), (257, 1), (258, 32), (259, 5), (262, 1), (278, 1), (317, predictor), (339, format)];
        // LZW: clear, 0, 0, 128, 63, end.
        let strip = [0x80, 0x00, 0x00, 0x08, 0x01, 0xfc, 0x04];
        read(&tiff(&tags, &strip))
    };
    assert!(with(3, 3).is_ok());
    assert!(with(2, 2).is_ok());
    for format in [1, 2] {
        assert!(with(format, 3).unwrap_err().contains("predictor 3"));
    }
    assert!(with(3, 4).unwrap_err().contains("predictor 4"));
}

#[test]
fn truncated_strips_are_errors() {
    let jpeg = include_bytes!("jpeg/rgb_17x15.jpg");
    let tags = [(256, 17), (257, 15), (258, 8), (259, 7), (262, 2), (277, 3), (278, 15)];
    let expected = read(&tiff(&tags, jpeg)).unwrap();
    // libtiff treats a size of 0 as unknown.
    assert!(read(&tiff_of_size(&tags, jpeg, 0)).unwrap() == expected);
    // The pixels are complete here, too, but a truncated file is never decoded partially.
    let file = tiff_of_size(&tags, jpeg, 1 << 20);
    assert!(read(&file).unwrap_err().contains("truncated"));
    // Data that ends early by itself is repaired as in JPEG files.
    assert!(read(&tiff(&tags, &jpeg[..jpeg.len() - 20])).unwrap() != expected);
}

#[test]
fn ycbcr_requires_three_samples_or_is_gray() {
    for compression in [1, 32_773] {
        let with = |samples| {
            let tags = [(256, 1), (257, 1), (258, 8), (259, compression), (262, 6), (277, samples), (278, 1), (530, 1)];
            // PackBits: three literal bytes.
            let strip: &[u8] = if compression == 1 { &[9, 128, 128] } else { &[2, 9, 128, 128] };
            read(&tiff(&tags, strip)).map(|image| image.data().to_vec())
        };
        assert_eq!(with(1), Ok(vec![9; 3]));
        assert!(with(2).unwrap_err().contains("unknown"));
        if compression == 1 {
            assert_eq!(with(3), Ok(vec![9; 3]));
        }
    }
}
