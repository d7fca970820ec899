//! The operations of [`elementwise`](super::elementwise) on Burn's tensors; none where these are not on a card.

use super::elementwise::{self, NormKind, ROWS, UNITS};
use super::hardware::{has_planes, vector_size};
use super::reduce::LANES;
use super::tensor::{client, cube_tensor, element, mapped};
use crate::Activation;
use burn::tensor::{Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// `weight x / sqrt(mean(x^2) + eps)` over the last axis; as [`RmsNorm`](crate::RmsNorm).
pub fn rms_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, eps: f64) -> Option<Tensor<D>> {
    norm(x, weight, None, eps)
}

/// `(x - mean) / sqrt(var + eps) weight + bias` over the last axis; as [`LayerNorm`](crate::LayerNorm).
pub fn layer_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, bias: &Tensor<1>, eps: f64) -> Option<Tensor<D>> {
    norm(x, weight, Some(bias), eps)
}

fn norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, bias: Option<&Tensor<1>>, eps: f64) -> Option<Tensor<D>> {
    let (client, element) = (client(&x.device())?, element(x.dtype())?);
    let (dims, width) = (x.dims(), x.dims()[D - 1]);
    let rows: usize = dims[..D - 1].iter().product();
    if weight.dtype() != x.dtype() || bias.is_some_and(|bias| bias.dtype() != x.dtype()) || rows == 0 {
        return None;
    }
    let lanes = vector_size(&client, element, &[width])?;
    let is_layer_norm = bias.is_some();
    let weight = into_contiguous(cube_tensor(weight.clone()));
    let bias = bias.map_or_else(|| weight.clone(), |bias| into_contiguous(cube_tensor(bias.clone())));
    let kind = NormKind { width: (width / lanes) as u32, is_layer_norm, planes: has_planes(&client) };
    Some(mapped(x.clone(), |x| {
        let x = into_contiguous(x);
        let out = like(&x);
        let count = rows * width;
        // All are as long as their shapes say.
        unsafe {
            elementwise::normalize::launch_unchecked(
                &client,
                CubeCount::Static((rows as u32).div_ceil(ROWS), 1, 1),
                CubeDim::new_2d(LANES, ROWS),
                lanes,
                arg(&x, count),
                arg(&weight, width),
                arg(&bias, width),
                arg(&out, count),
                rows as u32,
                eps as f32,
                kind,
                element,
            );
        }
        out
    }))
}

/// [`Activation::forward`], or with `factor` [`Activation::gate`]; none for functions that have no kernel.
pub fn activate<const D: usize>(
    activation: Activation,
    x: &Tensor<D>,
    factor: Option<&Tensor<D>>,
) -> Option<Tensor<D>> {
    let is_gelu = match activation {
        Activation::GeluTanh => true,
        Activation::Silu => false,
        Activation::Gelu | Activation::Relu => return None,
    };
    let (client, element) = (client(&x.device())?, element(x.dtype())?);
    let count: usize = x.dims().iter().product();
    if count == 0 || factor.is_some_and(|factor| factor.dtype() != x.dtype() || factor.dims() != x.dims()) {
        return None;
    }
    let lanes = vector_size(&client, element, &[count])?;
    let gated = factor.is_some();
    let factor = factor.map(|factor| into_contiguous(cube_tensor(factor.clone())));
    Some(mapped(x.clone(), |x| {
        let x = into_contiguous(x);
        let out = like(&x);
        let vectors = (count / lanes) as u32;
        // All are as long as their shapes say.
        unsafe {
            elementwise::activate::launch_unchecked(
                &client,
                CubeCount::Static(vectors.div_ceil(UNITS), 1, 1),
                CubeDim::new_1d(UNITS),
                lanes,
                arg(&x, count),
                arg(factor.as_ref().unwrap_or(&x), count),
                arg(&out, count),
                vectors,
                is_gelu,
                gated,
                element,
            );
        }
        out
    }))
}

/// [`rotate`](crate::rotate()).
pub fn rotate(x: &Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Option<Tensor<4>> {
    let (client, element) = (client(&x.device())?, element(x.dtype())?);
    let [rows, heads, tokens, width] = x.dims();
    let count = rows * heads * tokens * width / 2;
    if cos.dtype() != x.dtype() || sin.dtype() != x.dtype() || !width.is_multiple_of(2) || count == 0 {
        return None;
    }
    let of_batch = if cos.dims()[0] == 1 { 0 } else { tokens * width };
    let [cos, sin] = [cos, sin].map(|table| into_contiguous(cube_tensor(table.clone())));
    Some(mapped(x.clone(), |x| {
        // The heads of a projection are a view that the kernel reads as it is.
        let x = if x.meta.strides()[3] == 1 { x } else { into_contiguous(x) };
        let out = fresh(&x, [rows, heads, tokens, width].into());
        let strides = x.meta.strides();
        let angles = cos.meta.shape().iter().product();
        // All are as long as their shapes and strides say.
        unsafe {
            elementwise::rotate::launch_unchecked(
                &client,
                CubeCount::Static((count as u32).div_ceil(UNITS), 1, 1),
                CubeDim::new_1d(UNITS),
                arg(&x, 2 * count),
                arg(&cos, angles),
                arg(&sin, angles),
                arg(&out, 2 * count),
                count as u32,
                heads as u32,
                tokens as u32,
                strides[0] as u32,
                strides[1] as u32,
                strides[2] as u32,
                of_batch as u32,
                (width / 2) as u32,
                element,
            );
        }
        out
    }))
}

/// A fresh tensor like another one.
fn like(tensor: &CubeTensor) -> CubeTensor {
    fresh(tensor, tensor.meta.shape().clone())
}

/// A fresh tensor of a shape, beside another one. Its rows follow each other, as kernels write them; Burn's own tensors may have
/// gaps between rows on NVIDIA's cards.
fn fresh(tensor: &CubeTensor, shape: Shape) -> CubeTensor {
    empty_device_contiguous_dtype(tensor.client.clone(), tensor.device.clone(), shape, tensor.dtype)
}

/// A buffer as long as these values.
fn arg(tensor: &CubeTensor, len: usize) -> BufferArg {
    // Kernels keep to the shapes that they are told, which are those of the tensors.
    unsafe { BufferArg::from_raw_parts(tensor.handle.clone(), len) }
}
