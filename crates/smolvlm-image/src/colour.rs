//! Decoded pixels of any colour mode to 8-bit RGB, as Pillow does it.

use crate::Rgb;
use image::DynamicImage;
use rayon::prelude::*;

/// Converts to RGB: grey is repeated, transparency is laid over white, of 16 bits the upper 8 are kept, and floating point
/// is clamped to 0..=1.
pub(crate) fn to_rgb(image: DynamicImage) -> Rgb {
    let (width, height) = (image.width(), image.height());
    let data = match image {
        DynamicImage::ImageRgb8(pixels) => pixels.into_raw(),
        DynamicImage::ImageLuma8(pixels) => convert(pixels.as_raw(), |[grey]: &[u8; 1]| [*grey; 3]),
        DynamicImage::ImageLumaA8(pixels) => convert(pixels.as_raw(), |[grey, alpha]| [over_white(*grey, *alpha); 3]),
        DynamicImage::ImageRgba8(pixels) => {
            convert(pixels.as_raw(), |[rgb @ .., alpha]: &[u8; 4]| rgb.map(|sample| over_white(sample, *alpha)))
        }
        DynamicImage::ImageLuma16(pixels) => convert(pixels.as_raw(), |[grey]: &[u16; 1]| [upper(*grey); 3]),
        DynamicImage::ImageLumaA16(pixels) => {
            convert(pixels.as_raw(), |[grey, alpha]| [over_white(upper(*grey), upper(*alpha)); 3])
        }
        DynamicImage::ImageRgb16(pixels) => convert(pixels.as_raw(), |rgb: &[u16; 3]| rgb.map(upper)),
        DynamicImage::ImageRgba16(pixels) => convert(pixels.as_raw(), |[rgb @ .., alpha]: &[u16; 4]| {
            rgb.map(|sample| over_white(upper(sample), upper(*alpha)))
        }),
        image => return to_rgb(image.into_rgba8().into()),
    };
    Rgb::from_parts(width, height, data)
}

/// Converts pixels of `N` samples each.
fn convert<T: Sync, const N: usize>(samples: &[T], pixel: impl Fn(&[T; N]) -> [u8; 3] + Sync) -> Vec<u8> {
    const PIXELS: usize = 1 << 14;
    let mut data = vec![0; samples.len() / N * 3];
    data.par_chunks_mut(3 * PIXELS).zip(samples.par_chunks(N * PIXELS)).for_each(|(out, samples)| {
        let pixels = out.as_chunks_mut().0.iter_mut().zip(samples.as_chunks().0);
        pixels.for_each(|(out, samples)| *out = pixel(samples));
    });
    data
}

fn upper(sample: u16) -> u8 {
    (sample >> 8) as u8
}

/// Pillow's `alpha_composite` over opaque white, in its fixed-point arithmetic (libImaging/AlphaComposite.c, Pillow 13).
fn over_white(sample: u8, alpha: u8) -> u8 {
    let (sample, alpha) = (u32::from(sample), u32::from(alpha));
    let sum = sample * (alpha << 7) + 255 * ((255 - alpha) << 7) + (0x80 << 7);
    ((((sum >> 8) + sum) >> 8) >> 7) as u8
}

#[cfg(test)]
mod tests {
    use super::to_rgb;
    use image::{DynamicImage, GrayAlphaImage, ImageBuffer, RgbaImage};

    #[test]
    fn transparency_shows_white() {
        let pixels = RgbaImage::from_raw(3, 1, vec![10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 200, 128]).unwrap();
        // Pillow 13: alpha_composite of (0, 100, 200, 128) over white is (127, 177, 227).
        assert_eq!(to_rgb(DynamicImage::ImageRgba8(pixels)).data(), [10, 20, 30, 255, 255, 255, 127, 177, 227]);
        let pixels = GrayAlphaImage::from_raw(1, 1, vec![0, 255]).unwrap();
        assert_eq!(to_rgb(DynamicImage::ImageLumaA8(pixels)).data(), [0, 0, 0]);
    }

    #[test]
    fn sixteen_bits_keep_the_upper_eight() {
        let pixels = ImageBuffer::from_raw(2, 1, vec![0x12ffu16, 0xff00]).unwrap();
        assert_eq!(to_rgb(DynamicImage::ImageLuma16(pixels)).data(), [0x12, 0x12, 0x12, 0xff, 0xff, 0xff]);
    }
}
