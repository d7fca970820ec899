//! Norms, activations and rotary embedding of whole tensors.

use super::hardware::{cubes, has_planes, vector_size};
use super::reduce::{LANES, over_lanes, sum_over_lanes};
use crate::Activation;
use cubecl::prelude::*;
use cubecl::server::Handle;

/// Rows per cube, each with [`LANES`] units.
const ROWS: u32 = 8;
/// Units per cube of kernels with one vector or value pair per unit.
const UNITS: u32 = 256;

/// Kernels on contiguous row-major buffers of one element type.
///
/// # Panics
///
/// Every method panics when a buffer is smaller than its shape.
pub struct Elementwise<'a> {
    /// The device.
    pub client: &'a Client,
    /// Type of all values: f32, bf16 or f16.
    pub element: ElemType,
}

impl Elementwise<'_> {
    /// Layer norm over rows, or RMS norm without a bias: `x` and `out` are `[rows, width]`, weight and bias `[width]`.
    pub fn normalize(
        &self,
        [rows, width]: [usize; 2],
        x: &Handle,
        weight: &Handle,
        bias: Option<&Handle>,
        eps: f32,
        out: &Handle,
    ) {
        let lanes = vector_size(self.client, self.element, &[width]);
        let planes = has_planes(self.client);
        let kind = NormKind { width: (width / lanes) as u32, is_layer_norm: bias.is_some(), planes };
        // SAFETY: `arg` has checked the lengths, and the kernel stays within them.
        unsafe {
            normalize::launch_unchecked(
                self.client,
                cubes(self.client, rows * LANES as usize, CubeDim::new_2d(LANES, ROWS)),
                CubeDim::new_2d(LANES, ROWS),
                lanes,
                self.arg(x, rows * width),
                self.arg(weight, width),
                self.arg(bias.unwrap_or(weight), width),
                self.arg(out, rows * width),
                rows as u32,
                eps,
                kind,
                self.element,
            );
        }
    }

    /// The softmax of `scale x` over each row of `x`, `[rows, keys]`. With `causal_queries`, rows are so many queries
    /// at a time, the last of which sees all keys, and each one before it a key less; hidden keys become 0.
    pub fn softmax(
        &self,
        [rows, keys]: [usize; 2],
        x: &Handle,
        scale: f32,
        causal_queries: Option<usize>,
        out: &Handle,
    ) {
        let lanes = vector_size(self.client, self.element, &[keys]);
        assert!(causal_queries.is_none_or(|queries| (1..=keys).contains(&queries)), "queries without keys");
        // SAFETY: `arg` has checked the lengths, and the kernel stays within them.
        unsafe {
            softmax::launch_unchecked(
                self.client,
                cubes(self.client, rows * LANES as usize, CubeDim::new_2d(LANES, ROWS)),
                CubeDim::new_2d(LANES, ROWS),
                lanes,
                self.arg(x, rows * keys),
                self.arg(out, rows * keys),
                rows as u32,
                keys as u32,
                causal_queries.unwrap_or(1) as u32,
                scale,
                causal_queries.is_some(),
                has_planes(self.client),
                self.element,
            );
        }
    }

    /// Whether there is a kernel for an activation function.
    pub fn supports(function: Activation) -> bool {
        matches!(function, Activation::GeluTanh | Activation::Silu)
    }

    /// Applies an activation function that [`supports`](Self::supports) names to `count` values and, with `factor`,
    /// multiplies each result.
    pub fn activate(&self, function: Activation, count: usize, x: &Handle, factor: Option<&Handle>, out: &Handle) {
        assert!(Self::supports(function), "there is no kernel for {function:?}");
        let lanes = vector_size(self.client, self.element, &[count]);
        let vectors = (count / lanes) as u32;
        // SAFETY: `arg` has checked the lengths, and the kernel stays within them.
        unsafe {
            activate::launch_unchecked(
                self.client,
                cubes(self.client, vectors as usize, CubeDim::new_1d(UNITS)),
                CubeDim::new_1d(UNITS),
                lanes,
                self.arg(x, count),
                self.arg(factor.unwrap_or(x), count),
                self.arg(out, count),
                vectors,
                function == Activation::GeluTanh,
                factor.is_some(),
                self.element,
            );
        }
    }

    /// Copies the first `count` values, and writes zeros from there to value `padded`.
    pub fn copy(&self, count: usize, padded: usize, from: &Handle, to: &Handle) {
        assert!(count <= padded, "{count} values padded to {padded}");
        let lanes = vector_size(self.client, self.element, &[count, padded]);
        let [copied, vectors] = [count, padded].map(|values| (values / lanes) as u32);
        // SAFETY: `arg` has checked the lengths, and the kernel stays within them.
        unsafe {
            copy::launch_unchecked(
                self.client,
                cubes(self.client, vectors as usize, CubeDim::new_1d(UNITS)),
                CubeDim::new_1d(UNITS),
                lanes,
                self.arg(from, count),
                self.arg(to, padded),
                copied,
                vectors,
                self.element,
            );
        }
    }

    /// Applies rotary position embedding to heads `[rows, heads, tokens, width]`, read with the strides of rows, heads
    /// and tokens, and written contiguously. Cosines and sines are `[rows or 1, tokens, width]`, with a row stride of
    /// `angle_stride`, which is 0 if all rows share them.
    pub fn rotate(
        &self,
        shape: [usize; 4],
        x: &Handle,
        strides: [usize; 3],
        [cos, sin]: [&Handle; 2],
        angle_stride: usize,
        out: &Handle,
    ) {
        let [rows, heads, tokens, width] = shape;
        let count = rows * heads * tokens * width / 2;
        let span = (rows - 1) * strides[0] + (heads - 1) * strides[1] + (tokens - 1) * strides[2] + width;
        let angles = (rows - 1) * angle_stride + tokens * width;
        // SAFETY: `arg` has checked that the last value of each view is inside its buffer.
        unsafe {
            rotate::launch_unchecked(
                self.client,
                cubes(self.client, count, CubeDim::new_1d(UNITS)),
                CubeDim::new_1d(UNITS),
                self.arg(x, span),
                self.arg(cos, angles),
                self.arg(sin, angles),
                self.arg(out, 2 * count),
                count as u32,
                heads as u32,
                tokens as u32,
                strides[0] as u32,
                strides[1] as u32,
                strides[2] as u32,
                angle_stride as u32,
                (width / 2) as u32,
                self.element,
            );
        }
    }

    /// A kernel argument of the first `len` values of a buffer.
    fn arg(&self, handle: &Handle, len: usize) -> BufferArg {
        let bytes = (len * self.element.size()) as u64;
        assert!(bytes <= handle.size_in_used(), "a buffer of {} bytes for {bytes}", handle.size_in_used());
        // SAFETY: the buffer has that length.
        unsafe { BufferArg::from_raw_parts(handle.clone(), len) }
    }
}

/// Compile-time parameters of a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct NormKind {
    /// Vectors per row.
    width: u32,
    /// Layer norm, which subtracts the mean and adds a bias, instead of RMS norm.
    is_layer_norm: bool,
    /// Whether planes have [`LANES`] units and support sums.
    planes: bool,
}

/// Normalizes each row. RMS norm rounds before the multiplication with the weight, layer norm once at the end.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn normalize<E: Float, N: Size>(
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
    let row = CUBE_POS as u32 * ROWS + UNIT_POS_Y;
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

/// The softmax over each row, without hidden keys; see [`Elementwise::softmax`].
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn softmax<E: Float, N: Size>(
    x: &[Vector<E, N>],
    out: &mut [Vector<E, N>],
    rows: u32,
    keys: u32,
    queries: u32,
    scale: f32,
    #[comptime] causal: bool,
    #[comptime] planes: bool,
    #[define(E)] _element: ElemType,
) {
    let lanes = N::value();
    let lanes = comptime!(lanes as u32);
    let mut scratch = Shared::<[f32]>::new_slice((LANES * ROWS) as usize);
    let own = CUBE_POS as u32 * ROWS + UNIT_POS_Y;
    // Units past the last row repeat it, since all units must take part in the reductions.
    let row = min(own, rows - 1);
    let width = keys / lanes;
    let start = row * width;
    let mut seen = keys;
    if comptime!(causal) {
        seen = keys - queries + row % queries + 1;
    }
    let mut largest = f32::min_value();
    let mut index = UNIT_POS_X;
    while index * lanes < seen {
        let values = Vector::<f32, N>::cast_from(x[(start + index) as usize]);
        #[unroll]
        for lane in 0..lanes {
            let value = values.extract(lane as usize) * scale;
            largest = select(index * lanes + lane < seen, max(largest, value), largest);
        }
        index += LANES;
    }
    let largest = over_lanes(largest, &mut scratch, true, planes);
    let mut sum = 0.0f32;
    let mut index = UNIT_POS_X;
    while index * lanes < seen {
        let values = Vector::<f32, N>::cast_from(x[(start + index) as usize]);
        #[unroll]
        for lane in 0..lanes {
            let weight = (values.extract(lane as usize) * scale - largest).exp();
            sum += select(index * lanes + lane < seen, weight, 0.0f32);
        }
        index += LANES;
    }
    let factor = 1.0f32 / sum_over_lanes(sum, &mut scratch, planes);
    if own < rows {
        let mut index = UNIT_POS_X;
        while index < width {
            let values = Vector::<f32, N>::cast_from(x[(start + index) as usize]);
            let mut weights = Vector::<f32, N>::new(0.0f32);
            #[unroll]
            for lane in 0..lanes {
                let weight = (values.extract(lane as usize) * scale - largest).exp() * factor;
                weights.insert(lane as usize, select(index * lanes + lane < seen, weight, 0.0f32));
            }
            out[(start + index) as usize] = Vector::cast_from(weights);
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
fn activate<E: Float, N: Size>(
    x: &[Vector<E, N>],
    factor: &[Vector<E, N>],
    out: &mut [Vector<E, N>],
    count: u32,
    #[comptime] is_gelu: bool,
    #[comptime] gated: bool,
    #[define(E)] _element: ElemType,
) {
    let index = ABSOLUTE_POS as u32;
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

#[cube(launch_unchecked)]
fn copy<E: Float, N: Size>(
    from: &[Vector<E, N>],
    to: &mut [Vector<E, N>],
    copied: u32,
    count: u32,
    #[define(E)] _element: ElemType,
) {
    let index = ABSOLUTE_POS as u32;
    if index < copied {
        to[index as usize] = from[index as usize];
    } else if index < count {
        to[index as usize] = Vector::cast_from(Vector::<f32, N>::new(0.0f32));
    }
}

/// Applies rotary position embedding to heads `[B, heads, T, head_dim]`, read with these strides. Cosines and sines are
/// `[B or 1, T, head_dim]`, with a batch stride of `of_batch`. Each unit handles a value of the first half of a head
/// and its partner in the second.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn rotate<E: Float>(
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
    let index = ABSOLUTE_POS as u32;
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
