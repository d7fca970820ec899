//! Operations with backward passes of their own, for f32 tensors of Burn's CPU backend that record gradients.
//!
//! Each is one node of the graph where Burn would record one for every step of the formula, and writes each result once.
//! Everything else takes the general way: every function here gives none for tensors it is not for.

mod activation;
mod attention;
mod cross_entropy;
mod gather;
mod linear;
mod matmul;
mod norm;
mod rotary;
#[cfg(test)]
mod tests;

pub(crate) use activation::{activate, gate};
pub(crate) use attention::attention;
pub(crate) use cross_entropy::cross_entropy;
pub(crate) use gather::gather_rows;
pub(crate) use linear::linear;
pub(crate) use norm::{layer_norm, rms_norm};
pub(crate) use rotary::rotate;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Bytes, DType, Shape, Tensor};
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::ops::{Backward, NodeGuard, OpsKind};
use burn_flex::{FlexTensor, Layout};

/// A tensor that takes part in a graph.
pub(crate) type Recorded = FloatTensor<Autodiff<Flex>>;

/// The primitive of a tensor that these operations are for.
pub(crate) fn recorded<const D: usize>(x: &Tensor<D>) -> Option<Recorded> {
    if x.dtype() != DType::F32 || !x.is_autodiff() {
        return None;
    }
    x.clone().try_into_primitive::<Autodiff<Flex>>().ok()
}

/// Records an operation; the state is for its backward pass.
fn record<O, const N: usize, const D: usize>(
    operation: O,
    nodes: [NodeGuard; N],
    state: O::State,
    output: FlexTensor,
) -> Tensor<D>
where
    O: Backward<Flex, N>,
{
    let output = match operation.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

/// A tensor of these values, row-major.
fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}
