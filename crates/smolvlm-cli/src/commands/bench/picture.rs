//! Synthetic test images.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// Image size in pixels.
pub const WIDTH: u32 = 1024;
/// Image size in pixels.
pub const HEIGHT: u32 = 768;

const QUALITY: u8 = 90;

/// The error of encoding the test image as JPEG.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode the test image: {0}")]
pub struct PictureError(#[from] image::ImageError);

/// A test image as a JPEG file, with features of photos: smooth gradients, edges, and noise, which depends on `number`.
pub fn jpeg(number: u32) -> Result<Vec<u8>, PictureError> {
    let pixels: Vec<u8> = (0..HEIGHT).flat_map(|y| (0..WIDTH).flat_map(move |x| pixel(x, y, number))).collect();
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, QUALITY);
    encoder.write_image(&pixels, WIDTH, HEIGHT, ExtendedColorType::Rgb8)?;
    Ok(file)
}

fn pixel(x: u32, y: u32, number: u32) -> [u8; 3] {
    let slope = [x * 160 / WIDTH, y * 160 / HEIGHT, (x + y) * 160 / (WIDTH + HEIGHT)];
    let edge = if (x / 96 + y / 64).is_multiple_of(3) { 64 } else { 0 };
    // A multiplicative hash of the position.
    let position = x.wrapping_mul(0x9E37_79B9) ^ y.wrapping_mul(0x85EB_CA6B) ^ number.wrapping_mul(0x27D4_EB2F);
    let grain = position.wrapping_mul(0xC2B2_AE35) >> 28;
    slope.map(|value| (value + edge + grain) as u8)
}

#[cfg(test)]
mod tests {
    use super::{HEIGHT, WIDTH, jpeg, pixel};

    #[test]
    fn test_image_is_deterministic_and_decodes_back() {
        let file = jpeg(0).unwrap();
        assert_eq!(file, jpeg(0).unwrap());
        assert_ne!(file, jpeg(1).unwrap());
        let picture = image::load_from_memory(&file).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
        let off = |x, y| (i32::from(picture.get_pixel(x, y).0[1]) - i32::from(pixel(x, y, 0)[1])).abs();
        let mean: i32 = (0..HEIGHT).map(|y| off(y, y)).sum::<i32>() / HEIGHT as i32;
        assert!(mean < 8, "{mean}");
    }
}
