//! Coefficient buffers for files with several scans.

use super::entropy::Block;
use super::frame::{Frame, Layout, ScanHeader};
use super::smooth::Neighbors;

/// The blocks of all components.
#[derive(Debug)]
pub(crate) struct Coefficients {
    pub(crate) blocks: Vec<Block>,
    grids: Vec<Grid>,
}

/// The blocks of one component.
#[derive(Debug, Clone, Copy)]
struct Grid {
    /// The first block.
    start: usize,
    /// Blocks per row, a multiple of the MCU width, so that some blocks may be outside the image.
    columns: usize,
}

impl Coefficients {
    pub(crate) fn new(frame: &Frame) -> Self {
        let mut count = 0;
        let grids = frame.components.iter().map(|component| {
            let grid = Grid { start: count, columns: component.units_x.next_multiple_of(component.h) };
            count += grid.columns * component.units_y.next_multiple_of(component.v);
            grid
        });
        let grids = grids.collect();
        Self { blocks: vec![[0; 64]; count], grids }
    }

    /// A block.
    pub(crate) fn block(&self, component: usize, x: usize, y: usize) -> &Block {
        let grid = self.grids[component];
        &self.blocks[grid.start + y * grid.columns + x]
    }

    /// Indices of the blocks of the first MCU of a row, and the stride to those of the next MCU. `row` counts MCU rows
    /// of the frame, `inner` the scan's rows within one of them.
    pub(crate) fn indices(
        &self,
        frame: &Frame,
        scan: &ScanHeader,
        layout: &Layout,
        (row, inner): (usize, usize),
    ) -> Vec<(usize, usize)> {
        let mut indices = Vec::with_capacity(layout.slot_of.len());
        for (slot, &(across, down)) in scan.slots.iter().zip(&layout.units) {
            let grid = self.grids[slot.component];
            let top = row * frame.components[slot.component].v + inner;
            for y in 0..down {
                let first = grid.start + (top + y) * grid.columns;
                indices.extend((first..first + across).map(|index| (index, across)));
            }
        }
        indices
    }

    /// DC coefficients around a block of a component, in row `inner` of an MCU row. The image boundary follows libjpeg,
    /// which counts rows by the height of this MCU row.
    pub(crate) fn neighbors(
        &self,
        frame: &Frame,
        component: usize,
        x: usize,
        (row, inner, rows): (usize, usize, usize),
    ) -> Neighbors {
        let grid = self.grids[component];
        let info = &frame.components[component];
        let y = row * info.v + inner;
        let (counted, total) = (row * rows + inner, rows * frame.mcu_rows());
        let up = y - usize::from(counted > 0);
        let upper = up - usize::from(counted > 1);
        let down = y + usize::from(counted + 1 < total);
        let lower = down + usize::from(counted + 2 < total);
        [upper, up, y, down, lower].map(|y| {
            let line = &self.blocks[grid.start + y * grid.columns..][..info.units_x];
            let last = info.units_x - 1;
            [x.saturating_sub(2), x.saturating_sub(1), x, last.min(x + 1), last.min(x + 2)].map(|x| line[x][0].into())
        })
    }
}
