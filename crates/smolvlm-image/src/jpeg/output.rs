//! Conversion of samples to pixels, one MCU row at a time.

use super::color::Color;
use super::entropy::Block;
use super::frame::Frame;
use super::plane::Plane;
use super::simd::JpegSimd;
use super::upsample::Upsampler;

/// Number of MCU rows whose samples are kept: the current one and its neighbors, which interpolation needs.
const KEPT: usize = 3;

/// Buffers samples and converts them to pixels.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) planes: Vec<Plane>,
    upsamplers: Vec<Upsampler>,
    color: Color,
    width: usize,
    height: usize,
    /// Pixel rows per MCU row.
    strip: usize,
    strips: usize,
    pixels: Vec<u8>,
}

impl Output {
    /// Creates a buffer for samples that arrive row by row.
    pub(crate) fn new(frame: &Frame, color: Color) -> Self {
        Self::keeping(frame, color, KEPT)
    }

    /// Creates a buffer for samples that arrive component by component.
    pub(crate) fn whole(frame: &Frame, color: Color) -> Self {
        Self::keeping(frame, color, frame.mcu_rows())
    }

    fn keeping(frame: &Frame, color: Color, strips: usize) -> Self {
        let unit = frame.unit();
        Self {
            planes: frame.components.iter().map(|part| Plane::new(part, unit, strips * part.v * unit)).collect(),
            upsamplers: frame.components.iter().map(|part| Upsampler::new(frame, part)).collect(),
            color,
            width: frame.width,
            height: frame.height,
            strip: frame.v * unit,
            strips: frame.mcu_rows(),
            pixels: vec![0; color.channels() * frame.width * frame.height],
        }
    }

    /// Transforms a block and stores its samples.
    #[inline(always)]
    pub(crate) fn block<L: JpegSimd>(
        &mut self,
        simd: L,
        component: usize,
        at: (usize, usize),
        block: &Block,
        steps: &Block,
    ) {
        self.planes[component].put(at.0, at.1, &simd.inverse_transform(block, steps));
    }

    /// Converts to pixels after the samples of an MCU row are complete: the pixels of the previous row, and those of
    /// this row if it is the last.
    #[inline(always)]
    pub(crate) fn strip_done<L: JpegSimd>(&mut self, simd: L, strip: usize) {
        let end = if strip + 1 == self.strips { strip + 1 } else { strip };
        for y in strip.saturating_sub(1) * self.strip..self.height.min(end * self.strip) {
            let mut rows: [&[u8]; 4] = [&[]; 4];
            for (row, (upsampler, plane)) in rows.iter_mut().zip(self.upsamplers.iter_mut().zip(&self.planes)) {
                *row = upsampler.row(plane, y);
            }
            let row_bytes = self.color.channels() * self.width;
            self.color.convert(simd, rows, &mut self.pixels[y * row_bytes..][..row_bytes]);
        }
    }

    /// The pixels, `[height, width, channels]`.
    pub(crate) fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}
