//! The kernels of [`elementwise`](smolvlm_kernels::gpu::elementwise) applied to Burn tensors; `None` for tensors that
//! are not on a GPU.

use super::tensor::{client, cube_tensor, element, mapped};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use smolvlm_kernels::Activation;
use smolvlm_kernels::gpu::elementwise::Elementwise;

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
    let weight = into_contiguous(cube_tensor(weight.clone()));
    let bias = bias.map(|bias| into_contiguous(cube_tensor(bias.clone())));
    Some(mapped(x.clone(), |x| {
        let x = into_contiguous(x);
        let out = empty_like(&x);
        let kernels = Elementwise { client: &client, element };
        let bias = bias.as_ref().map(|bias| &bias.handle);
        kernels.normalize([rows, width], &x.handle, &weight.handle, bias, eps as f32, &out.handle);
        out
    }))
}

/// The softmax of `scale x` over the last axis, `[B, heads, queries, keys]`. With `causal`, the last query sees all
/// keys, and each one before it a key less.
pub fn softmax(x: &Tensor<4>, scale: f32, causal: bool) -> Option<Tensor<4>> {
    let (client, element) = (client(&x.device())?, element(x.dtype())?);
    let [batch, heads, queries, keys] = x.dims();
    let rows = batch * heads * queries;
    if rows == 0 || keys == 0 || (causal && queries > keys) {
        return None;
    }
    Some(mapped(x.clone(), |x| {
        let x = into_contiguous(x);
        let out = empty_like(&x);
        let kernels = Elementwise { client: &client, element };
        kernels.softmax([rows, keys], &x.handle, scale, causal.then_some(queries), &out.handle);
        out
    }))
}

/// [`activate`](crate::activate), or with `factor` [`gate`](crate::gate); `None` for functions without a kernel.
pub fn activate<const D: usize>(function: Activation, x: &Tensor<D>, factor: Option<&Tensor<D>>) -> Option<Tensor<D>> {
    let (client, element) = (client(&x.device())?, element(x.dtype())?);
    let count: usize = x.dims().iter().product();
    if !Elementwise::supports(function) {
        return None;
    }
    if count == 0 || factor.is_some_and(|factor| factor.dtype() != x.dtype() || factor.dims() != x.dims()) {
        return None;
    }
    let factor = factor.map(|factor| into_contiguous(cube_tensor(factor.clone())));
    Some(mapped(x.clone(), |x| {
        let x = into_contiguous(x);
        let out = empty_like(&x);
        let factor = factor.as_ref().map(|factor| &factor.handle);
        Elementwise { client: &client, element }.activate(function, count, &x.handle, factor, &out.handle);
        out
    }))
}

/// Rotary position embedding; as [`rotate`](crate::rotate()).
pub fn rotate(x: &Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Option<Tensor<4>> {
    let (client, element) = (client(&x.device())?, element(x.dtype())?);
    let shape = x.dims();
    let [_, _, tokens, width] = shape;
    if cos.dtype() != x.dtype() || sin.dtype() != x.dtype() || !width.is_multiple_of(2) || shape.contains(&0) {
        return None;
    }
    let angle_stride = if cos.dims()[0] == 1 { 0 } else { tokens * width };
    let [cos, sin] = [cos, sin].map(|table| into_contiguous(cube_tensor(table.clone())));
    Some(mapped(x.clone(), |x| {
        // The heads of a projection are a strided view, which the kernel reads without a copy.
        let x = if x.meta.strides()[3] == 1 { x } else { into_contiguous(x) };
        let out = empty(&x, shape.into());
        let strides = [0, 1, 2].map(|axis| x.meta.strides()[axis]);
        let angles = [&cos.handle, &sin.handle];
        let kernels = Elementwise { client: &client, element };
        kernels.rotate(shape, &x.handle, strides, angles, angle_stride, &out.handle);
        out
    }))
}

/// Copies the values of a tensor into the buffer of another one of the same data type, without a change of its address,
/// and fills the rest of its first `count` values with zeros. The other one must be contiguous and on the same GPU.
///
/// # Panics
///
/// When a tensor is not on a GPU, or one with fewer than `count` values is written.
pub fn copy_into<const D: usize>(count: usize, from: Tensor<D>, to: &Tensor<D>) {
    let values: usize = from.dims().iter().product();
    let (Some(client), Some(element)) = (client(&from.device()), element(from.dtype())) else {
        panic!("a copy of {:?} on {:?}", from.dtype(), from.device())
    };
    let (from, to) = (into_contiguous(cube_tensor(from)), cube_tensor(to.clone()));
    Elementwise { client: &client, element }.copy(values.min(count), count, &from.handle, &to.handle);
}

/// A contiguous tensor with the same values and memory of its own; none if the tensor is not on a GPU.
pub fn copied<const D: usize>(x: &Tensor<D>) -> Option<Tensor<D>> {
    let (client, element) = (client(&x.device())?, element(x.dtype())?);
    let count: usize = x.dims().iter().product();
    if count == 0 {
        return None;
    }
    Some(mapped(x.clone(), |x| {
        let x = into_contiguous(x);
        let out = empty_like(&x);
        Elementwise { client: &client, element }.copy(count, count, &x.handle, &out.handle);
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
