//! Kernels for norms, activations and rotary embedding of whole tensors.

use super::reduce::{LANES, sum_over_lanes};
use cubecl::prelude::*;

/// Rows per cube, each with [`LANES`] units.
pub const ROWS: u32 = 8;
/// Units per cube of kernels with one vector or value pair per unit.
pub const UNITS: u32 = 256;

/// Compile-time parameters of a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NormKind {
    /// Vectors per row.
    pub width: u32,
    /// Layer norm, which subtracts the mean and adds a bias, instead of RMS norm.
    pub is_layer_norm: bool,
    /// Whether planes have [`LANES`] units and support sums.
    pub planes: bool,
}

/// Normalizes each row. RMS norm rounds before the multiplication with the weight, layer norm once at the end.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn normalize<E: Float, N: Size>(
    x: &[Vector<E, N>],
    weight: &[Vector<E, N>],
    bias: &[Vector<E, N>],
    out: &mut [Vector<E, N>],
    rows: u32,
    eps: f32,
    #[comptime] kind: NormKind,
    #[define(E)] _element: ElemType,
) {
    let width = kind.width;
    let lanes = N::value();
    let count = comptime!((width as usize * lanes) as f32).runtime();
    let mut scratch = Shared::<[f32]>::new_slice((LANES * ROWS) as usize);
    let row = CUBE_POS_X * ROWS + UNIT_POS_Y;
    // Units past the last row repeat it, since all units must take part in the reductions.
    let start = min(row, rows - 1) * width;
    let mut mean = 0.0f32;
    if comptime!(kind.is_layer_norm) {
        let mut sum = 0.0f32;
        let mut index = UNIT_POS_X;
        while index < width {
            sum += Vector::vector_sum(Vector::<f32, N>::cast_from(x[(start + index) as usize]));
            index += LANES;
        }
        mean = sum_over_lanes(sum, &mut scratch, kind.planes) / count;
    }
    let mut square = 0.0f32;
    let mut index = UNIT_POS_X;
    while index < width {
        let value = Vector::<f32, N>::cast_from(x[(start + index) as usize]) - Vector::new(mean);
        square += Vector::vector_sum(value * value);
        index += LANES;
    }
    let factor = (sum_over_lanes(square, &mut scratch, kind.planes) / count + eps).inverse_sqrt();
    if row < rows {
        let mut index = UNIT_POS_X;
        while index < width {
            let at = (start + index) as usize;
            let value = (Vector::<f32, N>::cast_from(x[at]) - Vector::new(mean)) * Vector::new(factor);
            let scale = Vector::<f32, N>::cast_from(weight[index as usize]);
            if comptime!(kind.is_layer_norm) {
                let shift = Vector::<f32, N>::cast_from(bias[index as usize]);
                out[at] = Vector::cast_from(value * scale + shift);
            } else {
                let rounded = Vector::<E, N>::cast_from(value);
                out[at] = Vector::cast_from(Vector::<f32, N>::cast_from(rounded) * scale);
            }
            index += LANES;
        }
    }
}

/// `z sigmoid(slope z)`; the slope is 1 for SiLU and depends on `z` for the tanh approximation of GELU.
#[cube]
fn activated<N: Size>(z: Vector<f32, N>, #[comptime] is_gelu: bool) -> Vector<f32, N> {
    let mut slope = Vector::<f32, N>::new(1.0f32);
    if comptime!(is_gelu) {
        slope = z * z * Vector::new(0.071_354_814_f32) + Vector::new(1.595_769_2_f32);
    }
    z / (Vector::new(1.0f32) + (-(slope * z)).exp())
}

/// Applies SiLU or the tanh approximation of GELU to each value. With `gated`, the result is rounded and multiplied
/// with `factor`.
#[cube(launch_unchecked)]
pub fn activate<E: Float, N: Size>(
    x: &[Vector<E, N>],
    factor: &[Vector<E, N>],
    out: &mut [Vector<E, N>],
    count: u32,
    #[comptime] is_gelu: bool,
    #[comptime] gated: bool,
    #[define(E)] _element: ElemType,
) {
    let index = CUBE_POS_X * UNITS + UNIT_POS;
    if index < count {
        let at = index as usize;
        let rounded = Vector::<E, N>::cast_from(activated::<N>(Vector::cast_from(x[at]), is_gelu));
        if comptime!(gated) {
            let product = Vector::<f32, N>::cast_from(rounded) * Vector::cast_from(factor[at]);
            out[at] = Vector::cast_from(product);
        } else {
            out[at] = rounded;
        }
    }
}

/// Applies rotary position embedding to heads `[B, heads, T, head_dim]`, read with these strides. Cosines and sines are
/// `[B or 1, T, head_dim]`, with a batch stride of `of_batch`. Each unit handles a value of the first half of a head
/// and its partner in the second.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn rotate<E: Float>(
    x: &[E],
    cos: &[E],
    sin: &[E],
    out: &mut [E],
    count: u32,
    heads: u32,
    tokens: u32,
    of_row: u32,
    of_head: u32,
    of_token: u32,
    of_batch: u32,
    #[comptime] half: u32,
    #[define(E)] _element: ElemType,
) {
    let index = CUBE_POS_X * UNITS + UNIT_POS;
    if index < count {
        let (lane, rest) = (index % half, index / half);
        let (token, rest) = (rest % tokens, rest / tokens);
        let (head, row) = (rest % heads, rest / heads);
        let from = row * of_row + head * of_head + token * of_token + lane;
        let to = ((row * heads + head) * tokens + token) * 2 * half + lane;
        let angle = row * of_batch + token * 2 * half + lane;
        let (left, right) = (f32::cast_from(x[from as usize]), f32::cast_from(x[(from + half) as usize]));
        let (cos_left, sin_left) = (f32::cast_from(cos[angle as usize]), f32::cast_from(sin[angle as usize]));
        let (cos_right, sin_right) =
            (f32::cast_from(cos[(angle + half) as usize]), f32::cast_from(sin[(angle + half) as usize]));
        out[to as usize] = E::cast_from(left * cos_left - right * sin_left);
        out[(to + half) as usize] = E::cast_from(right * cos_right + left * sin_right);
    }
}
