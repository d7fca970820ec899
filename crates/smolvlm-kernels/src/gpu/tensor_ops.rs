//! The kernels of [`elementwise`](super::elementwise) applied to Burn tensors; `None` for tensors that are not on a
//! GPU.

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

/// RMS norm, `weight x / sqrt(mean(x^2) + eps)` over the last axis; as [`RmsNorm`](crate::RmsNorm).
pub fn rms_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, eps: f64) -> Option<Tensor<D>> {
    norm(x, weight, None, eps)
}

/// Layer norm, `(x - mean) / sqrt(var + eps) weight + bias` over the last axis; as [`LayerNorm`](crate::LayerNorm).
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
        let out = empty_like(&x);
        let count = rows * width;
        // All buffers have the lengths of their shapes.
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

/// [`Activation::forward`], or with `factor` [`Activation::gate`]; `None` for functions without a kernel.
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
        let out = empty_like(&x);
        let vectors = (count / lanes) as u32;
        // All buffers have the lengths of their shapes.
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

/// Rotary position embedding; as [`rotate`](crate::rotate()).
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
        // The heads of a projection are a strided view, which the kernel reads without a copy.
        let x = if x.meta.strides()[3] == 1 { x } else { into_contiguous(x) };
        let out = empty(&x, [rows, heads, tokens, width].into());
        let strides = x.meta.strides();
        let angles = cos.meta.shape().iter().product();
        // All buffers have the lengths of their shapes and strides.
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

/// An uninitialized tensor of the same shape, data type and device.
fn empty_like(tensor: &CubeTensor) -> CubeTensor {
    empty(tensor, tensor.meta.shape().clone())
}

/// An uninitialized contiguous tensor of a shape, with the data type and device of another one. Kernels write
/// contiguous rows, while tensors that Burn allocates on NVIDIA GPUs may have padded rows.
fn empty(tensor: &CubeTensor, shape: Shape) -> CubeTensor {
    empty_device_contiguous_dtype(tensor.client.clone(), tensor.device.clone(), shape, tensor.dtype)
}

/// A kernel argument of `len` values.
fn arg(tensor: &CubeTensor, len: usize) -> BufferArg {
    // Kernels stay within the given shapes, which are those of the tensors.
    unsafe { BufferArg::from_raw_parts(tensor.handle.clone(), len) }
}
