//! Color conversion of JPEG files to RGB, compatible with libjpeg and, for CMYK, Pillow.

use super::frame::Frame;
use super::segments::ColorMarkers;
use super::simd::{JpegSimd, PIXELS};

/// The color space of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Color {
    Gray,
    YCbCr,
    Rgb,
    Cmyk,
    /// CMYK whose first three components are inverted and YCbCr-transformed.
    Ycck,
    /// The given number of components, without conversion.
    Raw(usize),
}

impl Color {
    /// The color space that libjpeg assumes for the components and markers of a file; `None` if there is none.
    pub(crate) fn new(frame: &Frame, markers: ColorMarkers) -> Option<Self> {
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        let lossless = frame.process == super::frame::Process::Lossless;
        Some(match ids.len() {
            1 => Color::Gray,
            3 if markers.jfif => Color::YCbCr,
            3 => match markers.adobe {
                Some(0) => Color::Rgb,
                None if lossless || ids == *b"RGB" => Color::Rgb,
                _ => Color::YCbCr,
            },
            4 if matches!(markers.adobe, None | Some(0)) => Color::Cmyk,
            4 => Color::Ycck,
            _ => return None,
        })
    }

    /// JpegSimd per pixel after conversion.
    pub(crate) fn channels(self) -> usize {
        if let Color::Raw(count) = self { count } else { 3 }
    }

    /// Converts a row. `rows` are the components, `out` the pixels.
    #[inline(always)]
    pub(crate) fn convert<L: JpegSimd>(self, simd: L, rows: [&[u8]; 4], out: &mut [u8]) {
        if let Color::Raw(count) = self {
            for (channel, row) in rows.iter().enumerate().take(count) {
                out.iter_mut().skip(channel).step_by(count).zip(*row).for_each(|(out, &sample)| *out = sample);
            }
            return;
        }
        let (chunks, rest) = out.as_chunks_mut().0.as_chunks_mut::<PIXELS>();
        for (at, chunk) in chunks.iter_mut().enumerate() {
            *chunk = self.pixels(simd, rows.map(|row| load(row, at * PIXELS)));
        }
        if !rest.is_empty() {
            let start = chunks.len() * PIXELS;
            let pixels = self.pixels(simd, rows.map(|row| load(row, start)));
            rest.copy_from_slice(&pixels[..rest.len()]);
        }
    }

    #[inline(always)]
    fn pixels<L: JpegSimd>(self, simd: L, samples: [[u8; PIXELS]; 4]) -> [[u8; 3]; PIXELS] {
        let [first, second, third, black] = samples;
        match self {
            Color::Gray => simd.interleave([first; 3]),
            Color::Rgb | Color::Raw(_) => simd.interleave([first, second, third]),
            Color::YCbCr => simd.interleave(rgb(&first, &second, &third)),
            Color::Cmyk => simd.interleave([first, second, third].map(|ink| ink_to_rgb(&ink, &black))),
            Color::Ycck => {
                let inks = rgb(&first, &second, &third).map(|channel| channel.map(|sample| 255 - sample));
                simd.interleave(inks.map(|ink| ink_to_rgb(&ink, &black)))
            }
        }
    }
}

/// JpegSimd of a row from `start` on; missing samples are 0.
#[inline(always)]
fn load(row: &[u8], start: usize) -> [u8; PIXELS] {
    let row = row.get(start..).unwrap_or_default();
    match row.first_chunk() {
        Some(whole) => *whole,
        None => {
            let mut samples = [0; PIXELS];
            samples[..row.len()].copy_from_slice(row);
            samples
        }
    }
}

/// YCbCr to RGB (ITU-T T.871): `Y + 1.402 Cr`, `Y - 0.34414 Cb - 0.71414 Cr`, `Y + 1.772 Cb`, rounded to 16 fraction
/// bits like libjpeg. Factors that exceed the range of 16-bit products are split: 1.402 = 1 + 0.402, 1.772 = 2 - 0.228.
#[inline(always)]
fn rgb(y: &[u8; PIXELS], cb: &[u8; PIXELS], cr: &[u8; PIXELS]) -> [[u8; PIXELS]; 3] {
    const RED: i32 = 26_345;
    const GREEN: (i32, i32) = (-22_554, 18_734);
    const BLUE: i32 = -14_942;
    // Computes half of the rounded double product: with doubled input, the upper half of a 32-bit product has one bit
    // more.
    let scale = |value: i16, factor: i32| (((i32::from(2 * value) * factor) >> 16) as i16 + 1) >> 1;
    let clamp = |value: i16| value.clamp(0, 255) as u8;
    let mut out = [[0; PIXELS]; 3];
    for at in 0..PIXELS {
        let (y, cb, cr) = (i16::from(y[at]), i16::from(cb[at]) - 128, i16::from(cr[at]) - 128);
        let green = (i32::from(cb) * GREEN.0 + i32::from(cr) * GREEN.1 + (1 << 15)) >> 16;
        out[0][at] = clamp(y + cr + scale(cr, RED));
        out[1][at] = clamp(y - cr + green as i16);
        out[2][at] = clamp(y + 2 * cb + scale(cb, BLUE));
    }
    out
}

/// An RGB channel from an ink and black. Files store inverted values, like Adobe's programs (`cmyk2rgb` of Pillow 13,
/// libImaging/Convert.c).
#[inline(always)]
fn ink_to_rgb(ink: &[u8; PIXELS], black: &[u8; PIXELS]) -> [u8; PIXELS] {
    let mut out = [0; PIXELS];
    for (out, (&ink, &black)) in out.iter_mut().zip(ink.iter().zip(black)) {
        let product = u16::from(255 - ink) * u16::from(black) + 128;
        *out = black - (((product >> 8) + product) >> 8) as u8;
    }
    out
}
