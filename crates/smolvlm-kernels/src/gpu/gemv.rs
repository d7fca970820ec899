//! GEMV kernels for decoding: products of weights with few rows, in which every weight is read once per group of rows.

use super::reduce::{LANES, sum_over_lanes};
use cubecl::prelude::*;

/// Groups of [`LANES`] units per cube.
pub const PLANES: u32 = 8;

/// Compile-time parameters of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GemvConfig {
    /// Vectors per row of inputs.
    pub width: u32,
    /// Rows of inputs that share a load of the weights.
    pub batch: u32,
    /// Outputs that share a load of the inputs; divides all numbers of outputs.
    pub outputs: u32,
    /// Whether planes have [`LANES`] units and support sums.
    pub planes: bool,
}

/// Accumulates this unit's partial dot products of the outputs from `output` with a group of rows of `x`, `[outputs,
/// batch]`, and with `normed` the partial sums of the squares of `x`.
#[cube]
fn dot<W: Float, N: Size>(
    x: &[Vector<f32, N>],
    norm: &[Vector<W, N>],
    weights: &[Vector<W, N>],
    output: u32,
    first: u32,
    last: u32,
    sums: &mut Array<f32>,
    squares: &mut Array<f32>,
    #[comptime] config: GemvConfig,
    #[comptime] normed: bool,
) {
    let GemvConfig { width, batch, outputs, .. } = config;
    let steps = comptime!(width.div_ceil(LANES));
    // Unrolled, unless that is too much code, so that the weights of all steps are loaded together.
    let unrolled = comptime!(steps * batch * outputs <= 16);
    #[unroll(unrolled)]
    for step in 0..steps {
        let at = step * LANES + UNIT_POS_X;
        if at < width {
            let mut kept = Array::<Vector<f32, N>>::new(outputs as usize);
            #[unroll]
            for index in 0..outputs {
                kept[index as usize] = Vector::cast_from(weights[((output + index) * width + at) as usize]);
            }
            #[unroll]
            for row in 0..batch {
                let value = x[(min(first + row, last) * width + at) as usize];
                let mut scaled = value;
                if comptime!(normed) {
                    squares[row as usize] += Vector::vector_sum(value * value);
                    scaled = value * Vector::<f32, N>::cast_from(norm[at as usize]);
                }
                #[unroll]
                for index in 0..outputs {
                    sums[(index * batch + row) as usize] += Vector::vector_sum(kept[index as usize] * scaled);
                }
            }
        }
    }
}

/// Reduces the partial sums of all units, `[outputs, batch]`; with `normed`, divides by the root mean square of the
/// inputs.
#[cube]
fn finish(
    sums: &mut Array<f32>,
    squares: &mut Array<f32>,
    scratch: &mut Shared<[f32]>,
    inputs: f32,
    eps: f32,
    #[comptime] config: GemvConfig,
    #[comptime] normed: bool,
) {
    #[unroll]
    for row in 0..config.batch {
        let mut factor = 1.0f32;
        if comptime!(normed) {
            let square = sum_over_lanes(squares[row as usize], scratch, config.planes);
            factor = (square / inputs + eps).inverse_sqrt();
        }
        #[unroll]
        for index in 0..config.outputs {
            let at = (index * config.batch + row) as usize;
            sums[at] = factor * sum_over_lanes(sums[at], scratch, config.planes);
        }
    }
}

#[cube]
fn zeros(#[comptime] count: u32) -> Array<f32> {
    let mut values = Array::<f32>::new(count as usize);
    #[unroll]
    for index in 0..count as usize {
        values[index] = 0.0f32;
    }
    values
}

/// Computes `out = [a; b; c] rms_norm(x)`: three matrices of `counts` outputs with the same inputs.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn rms_norm_gemv<W: Float, N: Size>(
    x: &[Vector<f32, N>],
    norm: &[Vector<W, N>],
    a: &[Vector<W, N>],
    b: &[Vector<W, N>],
    c: &[Vector<W, N>],
    out: &mut [f32],
    rows: u32,
    eps: f32,
    #[comptime] counts: (u32, u32, u32),
    #[comptime] config: GemvConfig,
    #[define(W)] _element: ElemType,
) {
    let (mut sums, mut squares) = (zeros(comptime!(config.outputs * config.batch)), zeros(config.batch));
    let mut scratch = Shared::<[f32]>::new_slice((LANES * PLANES) as usize);
    let output = (CUBE_POS_X * PLANES + UNIT_POS_Y) * config.outputs;
    let (first, last) = (CUBE_POS_Y * config.batch, rows - 1);
    let (end_a, end_b) = comptime!((counts.0, counts.0 + counts.1));
    let end = comptime!(counts.0 + counts.1 + counts.2);
    if output < end_a {
        dot::<W, N>(x, norm, a, output, first, last, &mut sums, &mut squares, config, true);
    } else if output < end_b {
        dot::<W, N>(x, norm, b, output - end_a, first, last, &mut sums, &mut squares, config, true);
    } else if output < end {
        dot::<W, N>(x, norm, c, output - end_b, first, last, &mut sums, &mut squares, config, true);
    }
    let lanes = N::value();
    let inputs = comptime!((config.width as usize * lanes) as f32);
    finish(&mut sums, &mut squares, &mut scratch, inputs.runtime(), eps, config, true);
    if output < end && UNIT_POS_X == 0 {
        #[unroll]
        for row in 0..config.batch {
            if first + row < rows {
                #[unroll]
                for index in 0..config.outputs {
                    out[((first + row) * end + output + index) as usize] = sums[(index * config.batch + row) as usize];
                }
            }
        }
    }
}

/// Computes `out = silu(gate rms_norm(x)) * (up rms_norm(x))`.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn gated_gemv<W: Float, N: Size>(
    x: &[Vector<f32, N>],
    norm: &[Vector<W, N>],
    gate: &[Vector<W, N>],
    up: &[Vector<W, N>],
    out: &mut [f32],
    rows: u32,
    eps: f32,
    #[comptime] count: u32,
    #[comptime] config: GemvConfig,
    #[define(W)] _element: ElemType,
) {
    let (mut sums, mut squares) = (zeros(comptime!(config.outputs * config.batch)), zeros(config.batch));
    let (mut ups, mut unused) = (zeros(comptime!(config.outputs * config.batch)), zeros(config.batch));
    let mut scratch = Shared::<[f32]>::new_slice((LANES * PLANES) as usize);
    let output = (CUBE_POS_X * PLANES + UNIT_POS_Y) * config.outputs;
    let (first, last) = (CUBE_POS_Y * config.batch, rows - 1);
    if output < count {
        dot::<W, N>(x, norm, gate, output, first, last, &mut sums, &mut squares, config, true);
        dot::<W, N>(x, norm, up, output, first, last, &mut ups, &mut unused, config, true);
    }
    let lanes = N::value();
    let inputs = comptime!((config.width as usize * lanes) as f32);
    // Both have the same inputs and therefore the same norm.
    finish(&mut ups, &mut squares, &mut scratch, inputs.runtime(), eps, config, true);
    finish(&mut sums, &mut squares, &mut scratch, inputs.runtime(), eps, config, true);
    if output < count && UNIT_POS_X == 0 {
        #[unroll]
        for row in 0..config.batch {
            if first + row < rows {
                #[unroll]
                for index in 0..config.outputs {
                    let at = (index * config.batch + row) as usize;
                    let gate = sums[at];
                    let silu = gate / (1.0f32 + (-gate).exp());
                    out[((first + row) * count + output + index) as usize] = silu * ups[at];
                }
            }
        }
    }
}

/// Computes `residual += weights x`.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn residual_gemv<W: Float, N: Size>(
    x: &[Vector<f32, N>],
    weights: &[Vector<W, N>],
    residual: &mut [f32],
    rows: u32,
    #[comptime] count: u32,
    #[comptime] config: GemvConfig,
    #[define(W)] _element: ElemType,
) {
    let (mut sums, mut unused) = (zeros(comptime!(config.outputs * config.batch)), zeros(config.batch));
    let mut scratch = Shared::<[f32]>::new_slice((LANES * PLANES) as usize);
    let output = (CUBE_POS_X * PLANES + UNIT_POS_Y) * config.outputs;
    let (first, last) = (CUBE_POS_Y * config.batch, rows - 1);
    if output < count {
        dot::<W, N>(x, weights, weights, output, first, last, &mut sums, &mut unused, config, false);
    }
    finish(&mut sums, &mut unused, &mut scratch, 1.0f32, 0.0f32, config, false);
    if output < count && UNIT_POS_X == 0 {
        #[unroll]
        for row in 0..config.batch {
            if first + row < rows {
                #[unroll]
                for index in 0..config.outputs {
                    let at = ((first + row) * count + output + index) as usize;
                    residual[at] += sums[(index * config.batch + row) as usize];
                }
            }
        }
    }
}
