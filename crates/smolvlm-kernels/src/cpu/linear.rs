//! Matrix products of activations with packed weights.

use super::epilogue::{Epilogue, add_bias, panel_bias};
use super::micro::{COLUMNS, ROWS, Tile, tile_rows};
use super::packed::PackedMatrix;
use super::packed_lhs::PackedLhs;
use super::pool::Pool;
use crate::activation::Activation;
use std::ops::Range;

/// Bytes of a block of activations, which stays in the L2 cache while all panels are multiplied with it.
const BLOCK_BYTES: usize = 320 << 10;

/// Parts of panels per thread, so that the other threads take over the work of a delayed one.
const PARTS_PER_THREAD: usize = 3;

/// Multiplies activations with several matrices, as one parallel region: a block of rows stays in the cache of a core
/// while it is multiplied with the panels of all matrices.
///
/// # Panics
///
/// When the shapes or formats of activations, a matrix and its output do not match.
pub fn matmuls<const N: usize>(pool: &Pool, x: &PackedLhs, matrices: [(&PackedMatrix, Epilogue<'_>); N]) {
    for (matrix, output) in &matrices {
        check(x, matrix);
        output.check(x.rows(), matrix.outputs());
    }
    let panels: usize = matrices.iter().map(|(matrix, _)| matrix.panels()).sum();
    for_tasks(pool, x, panels, |rows, mut panel| {
        for (matrix, output) in &matrices {
            if panel < matrix.panels() {
                return panel_matmul(x, rows, matrix, panel, output);
            }
            panel -= matrix.panels();
        }
    });
}

fn panel_matmul(x: &PackedLhs, rows: Range<usize>, matrix: &PackedMatrix, panel: usize, output: &Epilogue<'_>) {
    let column = panel * COLUMNS;
    let columns = COLUMNS.min(matrix.outputs() - column);
    let bias = output.panel_bias(column, columns);
    let mut sums = Sums::ZERO;
    for first in rows.clone().step_by(tile_rows()) {
        let (a, q) = x.operand(first, rows.end);
        matrix.tile(a, q, panel, sums.tile());
        #[expect(unsafe_code, reason = "each task has its own rows and panel")]
        // SAFETY: these rows and columns of the output are written by this task only.
        unsafe {
            output.apply([first, column], [a.rows, columns], bias.as_ref(), &mut sums.0);
        }
    }
}

/// Multiplies activations with two matrices of one shape: `activation(x gate^T) * (x up^T)`.
///
/// # Panics
///
/// As [`matmuls`].
pub fn gated_matmul(
    pool: &Pool,
    x: &PackedLhs,
    [(gate, gate_bias), (up, up_bias)]: [(&PackedMatrix, Option<&[f32]>); 2],
    activation: Activation,
    output: Epilogue<'_>,
) {
    check(x, gate);
    check(x, up);
    assert_eq!(gate.outputs(), up.outputs(), "gate and up must have the same shape");
    output.check(x.rows(), gate.outputs());
    for_tasks(pool, x, gate.panels(), |rows, panel| {
        let column = panel * COLUMNS;
        let columns = COLUMNS.min(gate.outputs() - column);
        let [gate_bias, up_bias] = [gate_bias, up_bias].map(|bias| Some(panel_bias(bias?, column, columns)));
        let (mut sums, mut factors) = (Sums::ZERO, Sums::ZERO);
        for first in rows.clone().step_by(tile_rows()) {
            let (a, q) = x.operand(first, rows.end);
            gate.tile(a, q, panel, sums.tile());
            up.tile(a, q, panel, factors.tile());
            let used = a.rows * COLUMNS;
            for (sums, bias) in [(&mut sums, &gate_bias), (&mut factors, &up_bias)] {
                if let Some(bias) = bias {
                    add_bias(&mut sums.0[..used], bias);
                }
            }
            activation.gate(&mut sums.0[..used], &factors.0);
            #[expect(unsafe_code, reason = "each task has its own rows and panel")]
            // SAFETY: these rows and columns of the output are written by this task only.
            unsafe {
                output.apply([first, column], [a.rows, columns], None, &mut sums.0);
            }
        }
    });
}

/// Accumulators of a tile.
#[repr(C, align(64))]
struct Sums([f32; ROWS * COLUMNS]);

impl Sums {
    const ZERO: Self = Self([0.0; ROWS * COLUMNS]);

    fn tile(&mut self) -> Tile<'_> {
        Tile { sums: &mut self.0, stride: COLUMNS }
    }
}

fn check(x: &PackedLhs, matrix: &PackedMatrix) {
    assert_eq!(x.columns(), matrix.inputs(), "activations and matrix must have as many inputs");
    assert_eq!(x.format(), matrix.format(), "activations and matrix must have the same format");
}

/// Calls `task` for each block of rows and each panel, in the order of the blocks. A block of rows stays in the cache
/// of a core. A single tile of rows is bound by memory bandwidth, so each thread reads panels that are contiguous in
/// memory.
fn for_tasks(pool: &Pool, x: &PackedLhs, panels: usize, task: impl Fn(Range<usize>, usize) + Sync) {
    let tile = tile_rows();
    let tiles = x.rows().div_ceil(tile);
    let max_tiles = (BLOCK_BYTES / (x.row_bytes() * tile).max(1)).max(1);
    // Blocks of about equal size.
    let blocks = tiles.div_ceil(max_tiles).max(1);
    let block = tiles.div_ceil(blocks) * tile;
    let parts = if tiles > 1 { panels } else { panels.min(PARTS_PER_THREAD * pool.threads()) };
    pool.run(blocks * parts, |index| {
        let (first, part) = (index / parts * block, index % parts);
        for panel in part * panels / parts..(part + 1) * panels / parts {
            task(first..x.rows().min(first + block), panel);
        }
    });
}
