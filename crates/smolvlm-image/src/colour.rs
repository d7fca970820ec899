//! Decoded pixels of any colour mode to 8-bit RGB, as Pillow does it.

use crate::Rgb;
use image::{ColorType, DynamicImage};

/// Converts to RGB: grey is repeated, transparency is laid over white, of 16 bits the upper 8 are kept.
pub(crate) fn to_rgb(image: DynamicImage) -> Rgb {
    let (width, height) = (image.width(), image.height());
    let data = match (image.color(), image) {
        (_, DynamicImage::ImageRgb8(pixels)) => pixels.into_raw(),
        (_, DynamicImage::ImageLuma8(pixels)) => grey(pixels.as_raw().iter().copied()),
        (_, DynamicImage::ImageLuma16(pixels)) => grey(pixels.as_raw().iter().map(upper)),
        (_, DynamicImage::ImageRgb16(pixels)) => pixels.as_raw().iter().map(upper).collect(),
        (ColorType::La16 | ColorType::Rgba16, image) => over_white(&upper_bits(image)),
        (_, image) => over_white(&image.into_rgba8().into_raw()),
    };
    // The decoder made as many pixels as it said.
    Rgb::new(width, height, data).unwrap_or_else(|_| unreachable!("a decoded image has the size it names"))
}

fn upper(sample: &u16) -> u8 {
    (sample >> 8) as u8
}

fn grey(samples: impl Iterator<Item = u8>) -> Vec<u8> {
    samples.flat_map(|sample| [sample; 3]).collect()
}

fn upper_bits(image: DynamicImage) -> Vec<u8> {
    image.into_rgba16().as_raw().iter().map(upper).collect()
}

/// Pillow's `alpha_composite` over opaque white, in its fixed-point arithmetic (libImaging/AlphaComposite.c, Pillow 13).
fn over_white(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4)
        .flat_map(|pixel| {
            let alpha = u32::from(pixel[3]);
            [pixel[0], pixel[1], pixel[2]].map(|sample| {
                let sum = u32::from(sample) * (alpha << 7) + 255 * ((255 - alpha) << 7) + (0x80 << 7);
                ((((sum >> 8) + sum) >> 8) >> 7) as u8
            })
        })
        .collect()
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
