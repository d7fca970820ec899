//! Conversion of stored sample rows to 8-bit RGB, compatible with Pillow 13 and the reference's `convert_to_rgb`.

use crate::ycbcr::YCbCr;

/// Storage format of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Samples {
    /// Unsigned integers of 1, 2, 4 or 8 bits, most significant bit first.
    Bits(u8),
    /// 16 bits, of which the upper 8 are used.
    Sixteen {
        /// Whether samples are big-endian.
        big_endian: bool,
    },
    /// 16-bit big-endian gray values, one of which is transparent; converted to pairs of upper byte and alpha.
    SixteenKeyed([u8; 2]),
    /// Two 12-bit values in three bytes, of which the upper 8 bits are used.
    Twelve,
    /// Numbers that are clamped to 0..=255.
    Clipped(Number, bool),
}

/// Type of clamped numbers; the adjacent `bool` is true for big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Floating point, 32 bits.
    F32,
}

/// Color format of a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Color {
    /// Palette index.
    Table(Box<[[u8; 3]; 256]>),
    /// Palette index and alpha.
    TableAlpha(Box<[[u8; 3]; 256]>),
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, with one transparent color.
    RgbKeyed([u8; 3]),
    /// Red, green, blue at these sample indices.
    RgbAt([usize; 3]),
    /// Premultiplied gray and alpha.
    GrayPremultiplied,
    /// Red, green, blue, alpha at these sample indices.
    Rgba([usize; 4]),
    /// Premultiplied red, green, blue and alpha.
    RgbaPremultiplied,
    /// Cyan, magenta, yellow, black.
    Cmyk,
    /// Luma and two chroma samples at full resolution (JFIF).
    YCbCr,
    /// As above, with other tables.
    YCbCrBy(Box<YCbCr>),
    /// Packed RGB in two bytes: 5 bits of red, 5 or 6 of green, 5 of blue; the `u8` is the width of green.
    Packed16(u8),
}

/// Storage format of an image row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowFormat {
    /// Storage format of samples.
    pub(crate) samples: Samples,
    /// Samples per pixel; samples that the color format does not use come last.
    pub(crate) channels: usize,
    /// Color format.
    pub(crate) color: Color,
}

impl RowFormat {
    /// Bits per pixel.
    pub(crate) fn bits(&self) -> usize {
        let sample = match self.samples {
            Samples::Bits(bits) => usize::from(bits),
            Samples::Sixteen { .. } | Samples::SixteenKeyed(_) | Samples::Clipped(Number::I16, _) => 16,
            Samples::Twelve => 12,
            Samples::Clipped(Number::I32 | Number::F32, _) => 32,
        };
        sample * self.channels
    }

    /// Bytes per row of `width` pixels.
    pub(crate) fn row_bytes(&self, width: usize) -> usize {
        width.saturating_mul(self.bits()).div_ceil(8)
    }

    /// Converts a row of `out.len() / 3` pixels. `scratch` can be reused between rows. If `row` is too short, the
    /// remaining pixels are left unchanged.
    pub(crate) fn convert(&self, row: &[u8], scratch: &mut Vec<u8>, out: &mut [u8]) {
        let samples = match self.samples {
            Samples::Bits(8) => row,
            samples => {
                scratch.clear();
                unpack(samples, row, scratch);
                scratch
            }
        };
        let channels = if matches!(self.samples, Samples::SixteenKeyed(_)) { 2 } else { self.channels };
        let pixels = samples.chunks_exact(channels.max(1)).zip(out.as_chunks_mut::<3>().0);
        match &self.color {
            Color::Table(table) => pixels.for_each(|(pixel, rgb)| *rgb = table[usize::from(pixel[0])]),
            Color::TableAlpha(table) => pixels.for_each(|(pixel, rgb)| {
                *rgb = table[usize::from(pixel[0])].map(|sample| over_white(sample, pixel[1]));
            }),
            Color::Rgb if channels == 3 => {
                let length = samples.len().min(out.len());
                out[..length].copy_from_slice(&samples[..length]);
            }
            Color::Rgb => pixels.for_each(|(pixel, rgb)| rgb.copy_from_slice(&pixel[..3])),
            Color::RgbKeyed(key) => {
                pixels.for_each(|(pixel, rgb)| if pixel == key { *rgb = [255; 3] } else { rgb.copy_from_slice(pixel) })
            }
            Color::RgbAt(indices) => pixels.for_each(|(pixel, rgb)| *rgb = indices.map(|index| pixel[index])),
            &Color::Rgba([r, g, b, alpha]) => pixels.for_each(|(pixel, rgb)| {
                *rgb = [r, g, b].map(|index| over_white(pixel[index], pixel[alpha]));
            }),
            Color::GrayPremultiplied => {
                pixels.for_each(|(pixel, rgb)| *rgb = [over_white(divided(pixel[0], pixel[1]), pixel[1]); 3]);
            }
            Color::RgbaPremultiplied => pixels.for_each(|(pixel, rgb)| {
                let alpha = pixel[3];
                *rgb = [pixel[0], pixel[1], pixel[2]].map(|sample| over_white(divided(sample, alpha), alpha));
            }),
            Color::Cmyk => pixels.for_each(|(pixel, rgb)| {
                *rgb = [pixel[0], pixel[1], pixel[2]].map(|ink| ink_to_rgb(ink, pixel[3]));
            }),
            Color::YCbCr => pixels.for_each(|(pixel, rgb)| *rgb = ycbcr(pixel[0], pixel[1], pixel[2])),
            Color::YCbCrBy(tables) => pixels.for_each(|(pixel, rgb)| *rgb = tables.rgb(pixel[0], pixel[1], pixel[2])),
            &Color::Packed16(green) => pixels.for_each(|(pixel, rgb)| {
                let bits = u32::from(pixel[0]) | u32::from(pixel[1]) << 8;
                let scaled = |shift: u8, width: u8| {
                    let most = (1 << width) - 1;
                    ((bits >> shift & most) * 255 / most) as u8
                };
                *rgb = [scaled(5 + green, 5), scaled(5, green), scaled(0, 5)];
            }),
        }
    }
}

/// Gray palette with the given number of bits, padded to 256 entries.
pub(crate) fn gray_table(bits: u8, inverted: bool) -> Box<[[u8; 3]; 256]> {
    let most = (1u32 << bits.min(8)) - 1;
    let level = |index: usize| {
        let level = (index as u32).min(most) * 255 / most;
        [if inverted { 255 - level } else { level } as u8; 3]
    };
    Box::new(std::array::from_fn(level))
}

/// Converts samples to one byte each.
fn unpack(samples: Samples, row: &[u8], out: &mut Vec<u8>) {
    let number = |size: usize, big_endian: bool| {
        row.chunks_exact(size).map(move |bytes| {
            let step = |number: u32, &byte: &u8| number << 8 | u32::from(byte);
            if big_endian { bytes.iter().fold(0, step) } else { bytes.iter().rev().fold(0, step) }
        })
    };
    match samples {
        Samples::Bits(bits) => {
            let mask = u8::MAX >> (8 - bits.clamp(1, 8));
            let shifts = (0..8 / bits).rev().map(|at| at * bits);
            out.extend(row.iter().flat_map(|byte| shifts.clone().map(move |shift| byte >> shift & mask)));
        }
        Samples::Sixteen { big_endian } => out.extend(number(2, big_endian).map(|sample| (sample >> 8) as u8)),
        Samples::SixteenKeyed(key) => {
            out.extend(row.as_chunks().0.iter().flat_map(|bytes| [bytes[0], if *bytes == key { 0 } else { 255 }]));
        }
        Samples::Twelve => out.extend(row.chunks(3).flat_map(|bytes| {
            let second = bytes.get(1..3).map(|pair| pair[0] << 4 | pair[1] >> 4);
            std::iter::once(bytes[0]).chain(second)
        })),
        Samples::Clipped(Number::I16, big_endian) => {
            out.extend(number(2, big_endian).map(|bits| (bits as u16 as i16).clamp(0, 255) as u8));
        }
        Samples::Clipped(Number::I32, big_endian) => {
            out.extend(number(4, big_endian).map(|bits| (bits as i32).clamp(0, 255) as u8));
        }
        // The cast saturates, truncates toward zero, and converts NaN to 0.
        Samples::Clipped(Number::F32, big_endian) => {
            out.extend(number(4, big_endian).map(|bits| f32::from_bits(bits) as u8));
        }
    }
}

/// Pillow's `alpha_composite` over opaque white in fixed-point arithmetic (libImaging/AlphaComposite.c, Pillow 13).
pub(crate) fn over_white(sample: u8, alpha: u8) -> u8 {
    let (sample, alpha) = (u32::from(sample), u32::from(alpha));
    let sum = sample * (alpha << 7) + 255 * ((255 - alpha) << 7) + (0x80 << 7);
    ((((sum >> 8) + sum) >> 8) >> 7) as u8
}

/// Divides a sample by its premultiplied alpha.
fn divided(sample: u8, alpha: u8) -> u8 {
    let (sample, alpha) = (u32::from(sample), u32::from(alpha));
    (sample * 255).checked_div(alpha).map_or(0, |sample| sample.min(255) as u8)
}

/// Converts an ink (cyan, magenta or yellow) and black to a channel of RGB, without a color profile
/// (libImaging/Convert.c, Pillow 13).
fn ink_to_rgb(ink: u8, black: u8) -> u8 {
    let rest = 255 - u32::from(black);
    let product = u32::from(ink) * rest + 128;
    (rest - ((product + (product >> 8)) >> 8)) as u8
}

/// JFIF conversion with 6 fraction bits (libImaging/ConvertYCbCr.c, Pillow 13), whose table entries are truncated after
/// adding a half, including negative ones.
fn ycbcr(luma: u8, cb: u8, cr: u8) -> [u8; 3] {
    let part = |factor: f64, chroma: u8| (factor * 64.0 * (f64::from(chroma) - 128.0) + 0.5) as i32;
    let level = |sum: i32| (i32::from(luma) + (sum >> 6)).clamp(0, 255) as u8;
    [level(part(1.402, cr)), level(part(-0.34414, cb) + part(-0.71414, cr)), level(part(1.772, cb))]
}

#[cfg(test)]
mod tests {
    use super::{Color, Number, RowFormat, Samples, gray_table, over_white};

    fn convert(samples: Samples, channels: usize, color: Color, row: &[u8], pixels: usize) -> Vec<u8> {
        let mut out = vec![7; 3 * pixels];
        RowFormat { samples, channels, color }.convert(row, &mut Vec::new(), &mut out);
        out
    }

    #[test]
    fn transparency_is_composited_over_white() {
        // Pillow 13: alpha_composite of (0, 100, 200, 128) over white is (127, 177, 227).
        assert_eq!([0, 100, 200].map(|sample| over_white(sample, 128)), [127, 177, 227]);
        assert_eq!([over_white(10, 255), over_white(10, 0)], [10, 255]);
        let pixels = convert(Samples::Bits(8), 3, Color::RgbKeyed([1, 2, 3]), &[1, 2, 3, 1, 2, 4], 2);
        assert_eq!(pixels, [255, 255, 255, 1, 2, 4]);
    }

    #[test]
    fn chroma_rounding_matches_pillow() {
        // Entries of its tables: R_Cr[0] = -11484, B_Cb[0] = -14515, G_Cb[0] + G_Cr[0] = 2819 + 5850.
        assert_eq!(convert(Samples::Bits(8), 3, Color::YCbCr, &[255, 0, 0], 1), [75, 255, 28]);
        assert_eq!(convert(Samples::Bits(8), 3, Color::YCbCr, &[7, 128, 128], 1), [7, 7, 7]);
    }

    #[test]
    fn all_sample_widths_are_converted() {
        let gray = |bits, row: &[u8], pixels: usize| {
            let table = Color::Table(gray_table(bits, false));
            convert(Samples::Bits(bits), 1, table, row, pixels).into_iter().step_by(3).collect::<Vec<_>>()
        };
        assert_eq!(gray(1, &[0b0101_0000], 4), [0, 255, 0, 255]);
        assert_eq!(gray(2, &[0b0001_1011], 4), [0, 85, 170, 255]);
        assert_eq!(gray(4, &[0x1f, 0x20], 3), [17, 255, 34]);
        // Pixels beyond a short row are unchanged.
        assert_eq!(gray(8, &[9], 2), [9, 7]);
        let table = || Color::Table(gray_table(8, false));
        let gray =
            |samples, row: &[u8]| convert(samples, 1, table(), row, 2).into_iter().step_by(3).collect::<Vec<_>>();
        assert_eq!(gray(Samples::Sixteen { big_endian: false }, &[0xff, 0x12, 0, 0xff]), [0x12, 0xff]);
        assert_eq!(gray(Samples::Twelve, &[0x12, 0x34, 0x56]), [0x12, 0x45]);
        assert_eq!(gray(Samples::Clipped(Number::I16, true), &[0xff, 0xff, 0, 200]), [0, 200]);
        let floats: Vec<u8> = [3.99f32, f32::INFINITY].iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(gray(Samples::Clipped(Number::F32, false), &floats), [3, 255]);
    }
}
