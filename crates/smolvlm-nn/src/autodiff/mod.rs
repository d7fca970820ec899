//! Operations with custom backward passes, for f32 tensors of Burn's CPU backend with autodiff.
//!
//! Each operation is one node of the autodiff graph, where Burn would record one per step of the formula, and writes
//! each result once. Every function returns `None` for other tensors, which then use Burn's generic operations.

mod activation;
mod attention;
mod cross_entropy;
mod gather;
mod linear;
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

/// The primitive of a tensor in an autodiff graph.
pub(crate) type Recorded = FloatTensor<Autodiff<Flex>>;

/// The primitive of a tensor, if it is f32 with autodiff on the CPU backend.
pub(crate) fn recorded<const D: usize>(x: &Tensor<D>) -> Option<Recorded> {
    if x.dtype() != DType::F32 || !x.is_autodiff() {
        return None;
    }
    x.clone().try_into_primitive::<Autodiff<Flex>>().ok()
}

/// Records an operation in the autodiff graph, with the state for its backward pass.
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

/// Creates a tensor from row-major values.
fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}
