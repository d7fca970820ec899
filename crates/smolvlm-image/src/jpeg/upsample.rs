//! Upsampling of subsampled components, compatible with libjpeg: triangle filters for factors of two, otherwise
//! replication.

use super::frame::{Component, Frame, Process};
use super::plane::Plane;

/// Minimum width for horizontal interpolation.
const MIN_WIDTH: usize = 3;

/// Upsampling method of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// None: one sample per pixel.
    Copy,
    /// Horizontal interpolation.
    Across,
    /// Vertical interpolation.
    Down,
    /// Interpolation in both directions.
    Both,
    /// Replication, with this horizontal factor.
    Repeat(usize),
}

/// Upsamples the rows of a component.
#[derive(Debug)]
pub(crate) struct Upsampler {
    method: Method,
    /// Image rows per sample row.
    down: usize,
    /// Vertically interpolated samples, with one additional sample at both ends.
    sums: Vec<u16>,
    row: Vec<u8>,
}

impl Upsampler {
    pub(crate) fn new(frame: &Frame, component: &Component) -> Self {
        let (across, down) = (frame.h / component.h, frame.v / component.v);
        // Samples of lossless frames are never interpolated.
        let lossy = frame.process != Process::Lossless;
        let wide = lossy && component.width >= MIN_WIDTH;
        let method = match (across, down) {
            (1, 1) => Method::Copy,
            (2, 1) if wide => Method::Across,
            (1, 2) if lossy => Method::Down,
            (2, 2) if wide => Method::Both,
            _ => Method::Repeat(across),
        };
        let (sums, row) = match method {
            Method::Copy => (0, 0),
            Method::Across | Method::Both => (component.width + 2, component.width * 2),
            Method::Down => (0, component.width),
            Method::Repeat(across) => (0, component.width * across),
        };
        Self { method, down, sums: vec![0; sums], row: vec![0; row] }
    }

    /// Samples of image row `y`; at least as many as the image width.
    #[inline(always)]
    pub(crate) fn row<'a>(&'a mut self, plane: &'a Plane, y: usize) -> &'a [u8] {
        let nearest = (y / self.down) as isize;
        let near = plane.row(nearest);
        // The second nearest row is above for the upper image row of two, and below for the lower one.
        let lower = y % 2 == 1;
        let far = plane.row(if lower { nearest + 1 } else { nearest - 1 });
        match self.method {
            Method::Copy => return near,
            Method::Across => {
                let width = plane.width;
                for (sum, &near) in self.sums[1..].iter_mut().zip(&near[..width]) {
                    *sum = u16::from(near);
                }
                self.widen(|sum, other| (sum + other + 1) >> 2, |sum, other| (sum + other + 2) >> 2);
            }
            Method::Down => {
                let bias = if lower { 2 } else { 1 };
                for (out, (&near, &far)) in self.row.iter_mut().zip(near.iter().zip(far)) {
                    *out = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
                }
            }
            Method::Both => {
                let width = plane.width;
                for (sum, (&near, &far)) in self.sums[1..].iter_mut().zip(near[..width].iter().zip(far)) {
                    *sum = 3 * u16::from(near) + u16::from(far);
                }
                self.widen(|sum, other| (sum + other + 8) >> 4, |sum, other| (sum + other + 7) >> 4);
            }
            Method::Repeat(across) => {
                for (out, &sample) in self.row.chunks_exact_mut(across).zip(near) {
                    out.fill(sample);
                }
            }
        }
        &self.row
    }

    /// Computes two samples per sum: `left` and `right` round three times the sum plus its neighbor on that side.
    #[inline(always)]
    fn widen(&mut self, left: impl Fn(u16, u16) -> u16, right: impl Fn(u16, u16) -> u16) {
        let width = self.sums.len() - 2;
        self.sums[0] = self.sums[1];
        self.sums[width + 1] = self.sums[width];
        let before = &self.sums[..width];
        let sums = &self.sums[1..width + 1];
        let after = &self.sums[2..];
        let (pairs, _) = self.row.as_chunks_mut::<2>();
        for (((out, &sum), &before), &after) in pairs.iter_mut().zip(sums).zip(before).zip(after) {
            *out = [left(3 * sum, before) as u8, right(3 * sum, after) as u8];
        }
    }
}
