//! Sample layouts of TIFF images: the combinations that Pillow 13 supports.

use super::codec::Predictor;
use super::tag;
use crate::color::{Color, Number, RowFormat, Samples, gray_table};
use crate::orientation::Directory;
use crate::ycbcr::YCbCr;

/// The samples of a pixel.
pub(super) struct Layout {
    pub(super) photometric: u64,
    pub(super) channels: usize,
    /// Bits per sample.
    pub(super) bits: u64,
    samples: Samples,
    color: Color,
    planar: bool,
}

impl Layout {
    pub(super) fn read(directory: &Directory<'_>, big_endian: bool) -> Result<Self, String> {
        let number = |tag: u16| directory.unsigned(tag).and_then(|values| values.first().copied());
        let photometric = number(tag::PHOTOMETRIC).unwrap_or(0);
        let planar = number(tag::PLANAR) == Some(2);
        let is_raw = number(tag::COMPRESSION).is_none_or(|compression| compression == 1);
        let mut channels = number(tag::SAMPLES).unwrap_or(1);
        let mut extra = directory.unsigned(tag::EXTRA_SAMPLES).unwrap_or_default();
        // Unused planes at the end need not be read.
        if planar && extra.iter().all(|&extra| extra == 0) {
            channels = channels.saturating_sub(extra.len() as u64);
            extra.clear();
        }
        let same = |values: &[u64]| values.first().copied().filter(|first| values.iter().all(|value| value == first));
        let depths = directory.unsigned(tag::BITS).unwrap_or_else(|| vec![1]);
        let bits = depths.get(..channels as usize).unwrap_or(&depths);
        let bits = same(bits).filter(|_| depths.len() == 1 || depths.len() as u64 >= channels);
        let format = same(&directory.unsigned(tag::SAMPLE_FORMAT).unwrap_or_else(|| vec![1]));
        let unknown = || {
            let bits = depths.iter().take(8).map(u64::to_string).collect::<Vec<_>>().join(", ");
            format!("its samples are unknown (photometric {photometric}, {channels} of {bits} bits)")
        };
        let (Some(bits), Some(format)) = (bits, format) else { return Err(unknown()) };
        let colors = match photometric {
            0 | 1 | 3 => 1,
            2 => 3,
            5 => 4,
            // Gray if there is no chroma.
            6 if channels < 3 => 1,
            6 => 3,
            _ => return Err(unknown()),
        };
        // An unspecified extra sample may be alpha: red, green, blue and a fourth.
        let alpha = match extra.first() {
            None if photometric == 2 && channels == 4 => 2,
            None if channels == colors => 0,
            Some(&kind) if channels == colors + extra.len() as u64 && extra[1..].iter().all(|&rest| rest == 0) => kind,
            _ => return Err(unknown()),
        };
        if channels > 6 {
            return Err(unknown());
        }
        let samples = match (format, bits) {
            (1, 1 | 2 | 4) if channels == 1 => Samples::Bits(bits as u8),
            (1, 8) => Samples::Bits(8),
            (1, 16) => Samples::Sixteen { big_endian },
            (1, 12) if channels == 1 => Samples::Twelve,
            (2, 8) if photometric == 1 && channels == 1 => Samples::Bits(8),
            (2, 16) if channels == 1 => Samples::Clipped(Number::I16, big_endian),
            (1 | 2, 32) if channels == 1 => Samples::Clipped(Number::I32, big_endian),
            (3, 32) if channels == 1 => Samples::Clipped(Number::F32, big_endian),
            _ => return Err(unknown()),
        };
        let color = match (photometric, alpha) {
            (0 | 1, 0) | (6, 0) if colors == 1 && bits <= 8 => Color::Table(gray_table(bits as u8, photometric == 0)),
            // Samples with more bits are not inverted.
            (0 | 1, 0) => Color::Table(gray_table(8, false)),
            (1, 1) if bits == 8 => Color::GrayPremultiplied,
            (1, 2) if bits == 8 => Color::TableAlpha(gray_table(8, false)),
            (2, 0) => Color::Rgb,
            (2, 1) => Color::RgbaPremultiplied,
            (2, 2 | 999) => Color::Rgba([0, 1, 2, 3]),
            (3, 0) if bits <= 8 => Color::Table(palette(directory)?),
            (3, 2) if bits == 8 => Color::TableAlpha(palette(directory)?),
            (5, 0) => Color::Cmyk,
            (6, 0) if bits == 8 && is_raw => Color::YCbCr,
            (6, 0) if bits == 8 => Color::YCbCrBy(ycbcr(directory)?),
            _ => return Err(unknown()),
        };
        Ok(Self { photometric, channels: channels as usize, bits, samples, color, planar })
    }

    /// Whether samples are floating-point numbers.
    pub(super) fn is_float(&self) -> bool {
        matches!(self.samples, Samples::Clipped(Number::F32, _))
    }

    /// The row format, and that of a plane with the number of planes.
    pub(super) fn formats(self, predictor: Predictor, rgb: bool) -> (RowFormat, Option<(RowFormat, usize)>) {
        let Self { samples, channels, color, planar, .. } = self;
        if rgb {
            return (RowFormat { samples: Samples::Bits(8), channels: 3, color: Color::Rgb }, None);
        }
        // After the floating-point predictor, the most significant byte is first; libtiff writes and reads big-endian
        // files in the opposite order.
        let samples = match samples {
            Samples::Clipped(number, big_endian) if predictor == Predictor::FloatingPoint => {
                Samples::Clipped(number, !big_endian)
            }
            samples => samples,
        };
        let plane = RowFormat { samples, channels: 1, color: Color::Rgb };
        let planes = (planar && channels > 1).then_some((plane, channels));
        (RowFormat { samples, channels, color }, planes)
    }
}

/// Color conversion of compressed samples if Pillow leaves it to libtiff.
fn ycbcr(directory: &Directory<'_>) -> Result<Box<YCbCr>, String> {
    let numbers = |tag: u16| directory.rationals(tag);
    let coefficients =
        numbers(tag::YCBCR_COEFFICIENTS).map_or(Some(YCbCr::COEFFICIENTS), |found| found.try_into().ok());
    let levels = numbers(tag::BLACK_WHITE).map_or(Some(YCbCr::LEVELS), |found| found.try_into().ok());
    let tables = coefficients.zip(levels).and_then(|(coefficients, levels)| YCbCr::new(coefficients, levels));
    Ok(Box::new(tables.ok_or("the coefficients of YCbCr are damaged")?))
}

/// The palette: all reds, all greens, all blues, with 16 bits each.
fn palette(directory: &Directory<'_>) -> Result<Box<[[u8; 3]; 256]>, String> {
    let colors = directory.unsigned(tag::COLORS).ok_or("the palette is missing")?;
    let count = colors.len() / 3;
    let mut table = Box::new([[0; 3]; 256]);
    for (at, entry) in table.iter_mut().enumerate().take(count) {
        *entry = [0, 1, 2].map(|channel| (colors[channel * count + at] >> 8) as u8);
    }
    Ok(table)
}
