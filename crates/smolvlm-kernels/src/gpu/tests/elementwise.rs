//! Norms, softmax, activations, copies and rotary embedding.

use super::{gpu_client, random_values};
use crate::Activation;
use crate::gpu::elementwise::Elementwise;
use cubecl::ir::FloatKind;
use cubecl::prelude::*;
use cubecl::server::Handle;

const F32: ElemType = ElemType::Float(FloatKind::F32);

struct Gpu {
    client: Client,
}

impl Gpu {
    fn put(&self, values: &[f32]) -> Handle {
        self.client.create_from_slice(f32::as_bytes(values))
    }

    fn kernels(&self) -> Elementwise<'_> {
        Elementwise { client: &self.client, element: F32 }
    }

    fn get(&self, handle: Handle) -> Vec<f32> {
        f32::from_bytes(&self.client.read_one(handle).unwrap()).to_vec()
    }
}

fn assert_close(found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len());
    for (index, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((found - wanted).abs() < 1e-5 * wanted.abs().max(1.0), "{found} instead of {wanted} at {index}");
    }
}

#[test]
fn norms_match_the_reference() {
    let gpu = Gpu { client: gpu_client() };
    let (rows, width, eps) = (19, 200, 1e-5);
    let (x, weight, bias) =
        (random_values(1, rows * width, 3.0), random_values(2, width, 1.0), random_values(3, width, 1.0));
    for is_layer_norm in [false, true] {
        let out = gpu.client.empty(4 * rows * width);
        let [x_gpu, weight_gpu, bias_gpu] = [&x, &weight, &bias].map(|values| gpu.put(values));
        let bias_gpu = is_layer_norm.then_some(&bias_gpu);
        gpu.kernels().normalize([rows, width], &x_gpu, &weight_gpu, bias_gpu, eps, &out);
        let row = |row: &[f32]| -> Vec<f32> {
            let mean = if is_layer_norm { row.iter().sum::<f32>() / width as f32 } else { 0.0 };
            let square = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / width as f32;
            let factor = 1.0 / (square + eps).sqrt();
            let shift = |index: usize| if is_layer_norm { bias[index] } else { 0.0 };
            row.iter().enumerate().map(|(index, x)| (x - mean) * factor * weight[index] + shift(index)).collect()
        };
        assert_close(&gpu.get(out), &x.chunks(width).flat_map(row).collect::<Vec<_>>());
    }
}

#[test]
fn softmax_of_visible_keys_matches_the_reference() {
    let gpu = Gpu { client: gpu_client() };
    // Without a mask, as many queries as keys, more keys than queries, and more keys than a cube has units.
    for (rows, keys, queries) in [(21, 36, None), (30, 10, Some(10)), (12, 35, Some(6)), (4, 1040, Some(2))] {
        let (x, scale) = (random_values(9, rows * keys, 20.0), 0.3);
        let out = gpu.client.empty(4 * rows * keys);
        gpu.kernels().softmax([rows, keys], &gpu.put(&x), scale, queries, &out);
        let row = |(row, values): (usize, &[f32])| -> Vec<f32> {
            let seen = queries.map_or(keys, |queries| keys - queries + row % queries + 1);
            let largest = values[..seen].iter().fold(f32::MIN, |largest, value| largest.max(value * scale));
            let weights: Vec<f32> = values[..seen].iter().map(|value| (value * scale - largest).exp()).collect();
            let sum: f32 = weights.iter().sum();
            let mut row: Vec<f32> = weights.iter().map(|weight| weight / sum).collect();
            row.resize(keys, 0.0);
            row
        };
        assert_close(&gpu.get(out), &x.chunks(keys).enumerate().flat_map(row).collect::<Vec<_>>());
    }
}

#[test]
fn copies_are_padded_with_zeros_up_to_the_last_value() {
    let gpu = Gpu { client: gpu_client() };
    let (from, to) = (random_values(10, 1030, 1.0), random_values(11, 1040, 1.0));
    for padded in [1030, 1036] {
        let out = gpu.put(&to);
        gpu.kernels().copy(1030, padded, &gpu.put(&from), &out);
        assert_eq!(gpu.get(out), [&from[..], &vec![0.0; padded - 1030], &to[padded..]].concat());
    }
}

#[test]
fn activations_match_the_reference() {
    let gpu = Gpu { client: gpu_client() };
    let count = 4 * 517;
    let (x, factor) = (random_values(4, count, 6.0), random_values(5, count, 2.0));
    for (is_gelu, gated) in [(false, false), (false, true), (true, false)] {
        let out = gpu.client.empty(4 * count);
        let [x_gpu, factor_gpu] = [&x, &factor].map(|values| gpu.put(values));
        let function = if is_gelu { Activation::GeluTanh } else { Activation::Silu };
        gpu.kernels().activate(function, count, &x_gpu, gated.then_some(&factor_gpu), &out);
        let value = |(&x, &factor): (&f32, &f32)| {
            let z = f64::from(x);
            let gelu = 0.5 * z * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (z + 0.044715 * z.powi(3))).tanh());
            let y = if is_gelu { gelu } else { z / (1.0 + (-z).exp()) };
            (y * if gated { f64::from(factor) } else { 1.0 }) as f32
        };
        assert_close(&gpu.get(out), &x.iter().zip(&factor).map(value).collect::<Vec<_>>());
    }
}

#[test]
fn rotation_of_a_strided_view_matches() {
    let gpu = Gpu { client: gpu_client() };
    let (rows, heads, tokens, half) = (2, 3, 5, 4);
    let width = 2 * half;
    // In the layout of a projection: `[rows, tokens, heads, width]`.
    let x = random_values(6, rows * tokens * heads * width, 1.0);
    for angle_stride in [0, tokens * width] {
        let angles = if angle_stride == 0 { tokens * width } else { rows * tokens * width };
        let (cos, sin) = (random_values(7, angles, 1.0), random_values(8, angles, 1.0));
        let out = gpu.client.empty(4 * x.len());
        let [x_gpu, cos_gpu, sin_gpu] = [&x, &cos, &sin].map(|values| gpu.put(values));
        let strides = [tokens * heads * width, width, heads * width];
        let shape = [rows, heads, tokens, width];
        gpu.kernels().rotate(shape, &x_gpu, strides, [&cos_gpu, &sin_gpu], angle_stride, &out);
        let mut wanted = Vec::new();
        for (row, head, token) in
            (0..rows * heads * tokens).map(|i| (i / (heads * tokens), i / tokens % heads, i % tokens))
        {
            let from = &x[((row * tokens + token) * heads + head) * width..][..width];
            let angle = row * angle_stride + token * width;
            wanted.extend((0..width).map(|at| {
                let other = if at < half { -from[at + half] } else { from[at - half] };
                from[at] * cos[angle + at] + other * sin[angle + at]
            }));
        }
        assert_close(&gpu.get(out), &wanted);
    }
}

#[test]
#[should_panic(expected = "a buffer of 16 bytes for 20")]
fn short_buffers_are_refused() {
    let gpu = Gpu { client: gpu_client() };
    let (x, out) = (gpu.put(&[1.0; 4]), gpu.client.empty(20));
    gpu.kernels().activate(Activation::Silu, 5, &x, None, &out);
}
