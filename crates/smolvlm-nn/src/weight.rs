//! Weights in the layout of checkpoints or packed for the CPU kernels.

use crate::linear::linear;
#[cfg(feature = "flex")]
use crate::{HostValues, tensor_of};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
#[cfg(feature = "flex")]
use smolvlm_kernels::cpu::{Epilogue, Matrix, PackedLhs, PackedMatrix, Pool, matmuls};
#[cfg(feature = "flex")]
use std::sync::Arc;

/// The weight of a layer. Parameter paths do not include the variant.
#[derive(Module, Debug)]
pub enum Weight<const D: usize> {
    /// A trainable parameter in the layout of checkpoints.
    Tensor(Param<Tensor<D>>),
    /// A weight in the layout of the CPU kernels. Not a parameter: it is neither trained nor saved.
    #[cfg(feature = "flex")]
    Packed(Packed),
}

/// A weight in the layout of the CPU kernels, shared by clones.
#[cfg(feature = "flex")]
#[derive(Module, Debug)]
pub struct Packed {
    #[module(skip)]
    matrix: Arc<PackedMatrix>,
}

impl Weight<4> {
    /// Convolution of non-overlapping patches as a matrix product with the filters, `[out, channels, height, width]`,
    /// plus a bias.
    ///
    /// # Shapes
    ///
    /// `[patches, channels * height * width]` and `[out]` to `[patches, out]`.
    pub fn forward(&self, patches: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
        match self {
            Self::Tensor(weight) => linear(patches, weight.val().flatten(1, 3), Some(bias)),
            #[cfg(feature = "flex")]
            Self::Packed(packed) => packed.forward(patches, Some(bias)),
        }
    }
}

#[cfg(feature = "flex")]
impl<const D: usize> Weight<D> {
    /// Wraps a packed matrix.
    pub fn packed(matrix: PackedMatrix) -> Self {
        Self::Packed(Packed { matrix: Arc::new(matrix) })
    }

    /// The packed matrix, if the weight is packed.
    pub fn matrix(&self) -> Option<&PackedMatrix> {
        match self {
            Self::Tensor(_) => None,
            Self::Packed(packed) => Some(&packed.matrix),
        }
    }
}

#[cfg(feature = "flex")]
impl Packed {
    /// `x W^T + b`.
    ///
    /// # Shapes
    ///
    /// `[.., in]` and `[out]` to `[.., out]` in f32.
    ///
    /// # Panics
    ///
    /// When the tensors are not on the CPU backend, or their shapes do not match the weight.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, bias: Option<Tensor<1>>) -> Tensor<D> {
        let (mut shape, width) = (x.dims(), self.matrix.inputs());
        shape[D - 1] = self.matrix.outputs();
        let (values, bias) = (HostValues::of(x), bias.map(HostValues::of));
        let (pool, mut rows, mut out) = (Pool::current(), PackedLhs::new(self.matrix.format()), Matrix::new());
        let count = values.len() / width.max(1);
        rows.fill(&pool, count, width, |row, out| out.copy_from_slice(&values[row * width..][..width]));
        out.resize(count, self.matrix.outputs());
        matmuls(&pool, &rows, [(&*self.matrix, Epilogue::store(&mut out).with_bias(bias.as_deref()))]);
        tensor_of(&out, shape)
    }
}
