//! Norms, activations and rotary embedding.

use super::{gpu_client, random_values};
use crate::gpu::elementwise::{self, NormKind, ROWS, UNITS};
use crate::gpu::hardware::has_planes;
use crate::gpu::reduce::LANES;
use cubecl::ir::FloatKind;
use cubecl::prelude::*;
use cubecl::server::Handle;

const F32: ElemType = ElemType::Float(FloatKind::F32);
const LANES_OF_VECTOR: usize = 4;

struct Gpu {
    client: Client,
}

impl Gpu {
    fn put(&self, values: &[f32]) -> Handle {
        self.client.create_from_slice(f32::as_bytes(values))
    }

    fn arg(&self, handle: &Handle) -> BufferArg {
        unsafe { BufferArg::from_raw_parts(handle.clone(), handle.size_in_used() as usize / 4) }
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
        let width_of = (width / LANES_OF_VECTOR) as u32;
        let kind = NormKind { width: width_of, is_layer_norm, planes: has_planes(&gpu.client) };
        let [x_gpu, weight_gpu, bias_gpu] = [&x, &weight, &bias].map(|values| gpu.put(values));
        unsafe {
            elementwise::normalize::launch_unchecked(
                &gpu.client,
                CubeCount::Static((rows as u32).div_ceil(ROWS), 1, 1),
                CubeDim::new_2d(LANES, ROWS),
                LANES_OF_VECTOR,
                gpu.arg(&x_gpu),
                gpu.arg(&weight_gpu),
                gpu.arg(&bias_gpu),
                gpu.arg(&out),
                rows as u32,
                eps,
                kind,
                F32,
            );
        }
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
fn activations_match_the_reference() {
    let gpu = Gpu { client: gpu_client() };
    let count = 4 * 517;
    let (x, factor) = (random_values(4, count, 6.0), random_values(5, count, 2.0));
    for (is_gelu, gated) in [(false, false), (false, true), (true, false)] {
        let out = gpu.client.empty(4 * count);
        let vectors = (count / LANES_OF_VECTOR) as u32;
        let [x_gpu, factor_gpu] = [&x, &factor].map(|values| gpu.put(values));
        unsafe {
            elementwise::activate::launch_unchecked(
                &gpu.client,
                CubeCount::Static(vectors.div_ceil(UNITS), 1, 1),
                CubeDim::new_1d(UNITS),
                LANES_OF_VECTOR,
                gpu.arg(&x_gpu),
                gpu.arg(&factor_gpu),
                gpu.arg(&out),
                vectors,
                is_gelu,
                gated,
                F32,
            );
        }
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
    for of_batch in [0, tokens * width] {
        let angles = if of_batch == 0 { tokens * width } else { rows * tokens * width };
        let (cos, sin) = (random_values(7, angles, 1.0), random_values(8, angles, 1.0));
        let out = gpu.client.empty(4 * x.len());
        let count = (x.len() / 2) as u32;
        let [x_gpu, cos_gpu, sin_gpu] = [&x, &cos, &sin].map(|values| gpu.put(values));
        unsafe {
            elementwise::rotate::launch_unchecked(
                &gpu.client,
                CubeCount::Static(count.div_ceil(UNITS), 1, 1),
                CubeDim::new_1d(UNITS),
                gpu.arg(&x_gpu),
                gpu.arg(&cos_gpu),
                gpu.arg(&sin_gpu),
                gpu.arg(&out),
                count,
                heads as u32,
                tokens as u32,
                (tokens * heads * width) as u32,
                width as u32,
                (heads * width) as u32,
                of_batch as u32,
                half as u32,
                F32,
            );
        }
        let mut wanted = Vec::new();
        for (row, head, token) in
            (0..rows * heads * tokens).map(|i| (i / (heads * tokens), i / tokens % heads, i % tokens))
        {
            let from = &x[((row * tokens + token) * heads + head) * width..][..width];
            let angle = row * of_batch + token * width;
            wanted.extend((0..width).map(|at| {
                let other = if at < half { -from[at + half] } else { from[at - half] };
                from[at] * cos[angle + at] + other * sin[angle + at]
            }));
        }
        assert_close(&gpu.get(out), &wanted);
    }
}
