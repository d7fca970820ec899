//! Matrix products of activations with packed weights.

use super::aligned_buf::CacheLine;
use super::epilogue::{Epilogue, add_bias, panel_bias};
use super::isa::vectorized;
use super::micro::{COLUMNS, ROWS, Tile, call_rows, tile_rows};
use super::packed::{PackedMatrix, Panel};
use super::packed_lhs::{LhsTile, PackedLhs, Run};
use super::pool::Pool;
use crate::activation::Activation;
use std::cell::RefCell;

/// Bytes of a block of activations, which stays in the L2 cache while all panels are multiplied with it.
const BLOCK_BYTES: usize = 320 << 10;

/// Parts of panels per thread, so that the other threads take over the work of a delayed one.
const PARTS_PER_THREAD: usize = 3;

thread_local! {
    /// Buffers for up to two matrices.
    static SCRATCH: RefCell<[Scratch; 2]> = RefCell::default();
}

/// Buffers of a thread for products with a matrix. They are kept: to zero the sums for every panel takes as long as
/// some panels with few rows.
#[derive(Default)]
struct Scratch {
    /// A converted panel.
    panel: Vec<CacheLine>,
    sums: Box<Sums>,
}

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
    for_tasks(pool, x, panels, |run, mut panel| {
        for (matrix, output) in &matrices {
            if panel < matrix.panels() {
                return panel_matmul(x, run, matrix, panel, output);
            }
            panel -= matrix.panels();
        }
    });
}

fn panel_matmul(x: &PackedLhs, run: &Run, matrix: &PackedMatrix, index: usize, output: &Epilogue<'_>) {
    let column = index * COLUMNS;
    let columns = COLUMNS.min(matrix.outputs() - column);
    let bias = output.panel_bias(column, columns);
    SCRATCH.with_borrow_mut(|[Scratch { panel: buffer, sums }, _]| {
        let panel = matrix.panel(index, x.layout(run), run.rows.len(), buffer);
        for first in run.rows.clone().step_by(run.call_rows()) {
            let tile = x.tile(run, first);
            sums.multiply(panel, &tile);
            #[expect(unsafe_code, reason = "each task has its own rows and panel")]
            // SAFETY: these rows and columns of the output are written by this task only.
            unsafe {
                output.apply([first, column], [tile.rows, columns], bias.as_ref(), &mut sums.0);
            }
        }
    });
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
    for_tasks(pool, x, gate.panels(), |run, index| {
        let column = index * COLUMNS;
        let columns = COLUMNS.min(gate.outputs() - column);
        let [gate_bias, up_bias] = [gate_bias, up_bias].map(|bias| Some(panel_bias(bias?, column, columns)));
        SCRATCH.with_borrow_mut(|[gate_scratch, up_scratch]| {
            let (layout, rows) = (x.layout(run), run.rows.len());
            let gate = gate.panel(index, layout, rows, &mut gate_scratch.panel);
            let up = up.panel(index, layout, rows, &mut up_scratch.panel);
            let (sums, factors) = (&mut *gate_scratch.sums, &mut *up_scratch.sums);
            for first in run.rows.clone().step_by(run.call_rows()) {
                let tile = x.tile(run, first);
                sums.multiply(gate, &tile);
                factors.multiply(up, &tile);
                let used = tile.rows * COLUMNS;
                for (sums, bias) in [(&mut *sums, &gate_bias), (&mut *factors, &up_bias)] {
                    if let Some(bias) = bias {
                        add_bias(&mut sums.0[..used], bias);
                    }
                }
                activation.gate(&mut sums.0[..used], &factors.0);
                #[expect(unsafe_code, reason = "each task has its own rows and panel")]
                // SAFETY: these rows and columns of the output are written by this task only.
                unsafe {
                    output.apply([first, column], [tile.rows, columns], None, &mut sums.0);
                }
            }
        });
    });
}

/// Accumulators of a tile.
#[repr(C, align(64))]
struct Sums([f32; ROWS * COLUMNS]);

impl Default for Sums {
    fn default() -> Self {
        Self([0.0; ROWS * COLUMNS])
    }
}

impl Sums {
    /// Overwrites the sums with the products of a tile and a panel.
    fn multiply(&mut self, panel: Panel<'_>, tile: &LhsTile<'_>) {
        panel.multiply(tile.operand, tile.quantized, Tile { sums: &mut self.0, stride: COLUMNS });
        if tile.is_paired() {
            add_pairs(&mut self.0, tile.rows);
        }
    }
}

vectorized! {
    /// Adds rows `2 i` and `2 i + 1` to row `i`.
    fn add_pairs(sums: &mut [f32; ROWS * COLUMNS], rows: usize) {
        let sums = sums.as_chunks_mut::<COLUMNS>().0;
        for row in 0..rows {
            let (upper, lower) = (sums[2 * row], sums[2 * row + 1]);
            for ((sum, upper), lower) in sums[row].iter_mut().zip(upper).zip(lower) {
                *sum = upper + lower;
            }
        }
    }
}

fn check(x: &PackedLhs, matrix: &PackedMatrix) {
    assert_eq!(x.columns(), matrix.inputs(), "activations and matrix must have as many inputs");
    assert_eq!(x.format(), matrix.format(), "activations and matrix must have the same format");
}

/// Calls `task` for each block of rows and each panel, in the order of the blocks. A block of rows stays in the cache
/// of a core. A single tile of rows is bound by memory bandwidth, so each thread reads panels that are contiguous in
/// memory.
fn for_tasks(pool: &Pool, x: &PackedLhs, panels: usize, task: impl Fn(&Run, usize) + Sync) {
    let max_calls = (BLOCK_BYTES / (x.row_bytes() * call_rows()).max(1)).max(1);
    // Blocks of about equal size.
    let blocks = x.split(|run| {
        let calls = run.rows.len().div_ceil(run.call_rows());
        calls.div_ceil(calls.div_ceil(max_calls).max(1)) * run.call_rows()
    });
    let is_small = x.rows() <= tile_rows();
    let parts = if is_small { panels.min(PARTS_PER_THREAD * pool.threads()) } else { panels };
    // All blocks of one tile of rows follow each other, so that weights are read once.
    pool.run(blocks.len() * parts, |index| {
        let (block, part) =
            if is_small { (index % blocks.len(), index / blocks.len()) } else { (index / parts, index % parts) };
        for panel in part * panels / parts..(part + 1) * panels / parts {
            task(&blocks[block], panel);
        }
    });
}
