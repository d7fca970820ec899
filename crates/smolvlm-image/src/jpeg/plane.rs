//! Samples of one component.

use super::frame::{Component, SIDE};

/// Sample rows of a component: all of them, or the most recent ones.
#[derive(Debug)]
pub(crate) struct Plane {
    data: Vec<u8>,
    stride: usize,
    /// Number of rows kept. Row `y` of the component is stored at `y % rows`.
    rows: usize,
    /// Width and height of the component in samples.
    pub(crate) width: usize,
    height: usize,
}

impl Plane {
    /// A plane that keeps `rows` rows of `component`. `unit` is the edge of its data units.
    pub(crate) fn new(component: &Component, unit: usize, rows: usize) -> Self {
        let stride = component.units_x * unit;
        Self { data: vec![0; stride * rows], stride, rows, width: component.width, height: component.height }
    }

    /// A row, clamped to the existing ones.
    #[inline(always)]
    pub(crate) fn row(&self, y: isize) -> &[u8] {
        let y = y.clamp(0, self.height as isize - 1) as usize % self.rows;
        &self.data[y * self.stride..][..self.stride]
    }

    /// A mutable row.
    pub(crate) fn row_mut(&mut self, y: usize) -> &mut [u8] {
        let start = y % self.rows * self.stride;
        &mut self.data[start..start + self.stride]
    }

    /// Stores a block.
    #[inline(always)]
    pub(crate) fn put(&mut self, x: usize, y: usize, samples: &[[u8; SIDE]; SIDE]) {
        let start = y * SIDE % self.rows * self.stride + x * SIDE;
        let rows = self.data[start..].chunks_mut(self.stride);
        for (row, samples) in rows.zip(samples) {
            row[..SIDE].copy_from_slice(samples);
        }
    }
}
