//! Linear layers.

use super::{record, recorded, tensor};
use crate::HostValues;
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use smolvlm_kernels::cpu::backward::{MatrixView, add_rows, gemm};

/// Computes `x W^T + b` over the last axis; see [`Linear`](crate::Linear).
pub(crate) fn linear<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Option<Tensor<D>> {
    let (mut shape, [outputs, inputs]) = (x.dims(), weight.dims());
    let rows: usize = shape[..D - 1].iter().product();
    shape[D - 1] = outputs;
    let (x, weight) = (recorded(x)?, recorded(weight)?);
    let state = State {
        x: HostValues::from(x.primitive().clone()),
        weight: HostValues::from(weight.primitive().clone()),
        rows,
        shape: [outputs, inputs],
    };
    let mut out = Vec::with_capacity(rows * outputs);
    let bias = match bias {
        None => None,
        Some(bias) => {
            let bias = recorded(bias)?;
            let values = HostValues::from(bias.primitive().clone());
            (0..rows).for_each(|_| out.extend_from_slice(&values));
            Some(bias)
        }
    };
    out.resize(rows * outputs, 0.0);
    let (a, b) = (
        MatrixView::contiguous(&state.x, [rows, inputs]),
        MatrixView::contiguous(&state.weight, [outputs, inputs]).transposed(),
    );
    gemm(&mut out, outputs, a, b, 1.0, bias.is_some());
    let out = tensor(out, shape);
    Some(match bias {
        None => record(Step, [x.node(), weight.node()], state, out),
        Some(bias) => record(Step, [x.node(), weight.node(), bias.node()], state, out),
    })
}

#[derive(Debug)]
struct Step;

#[derive(Debug, Clone)]
struct State {
    x: HostValues,
    weight: HostValues,
    rows: usize,
    shape: [usize; 2],
}

/// The parents are the inputs, the weight and, if there is one, the bias.
impl<const N: usize> Backward<Flex, N> for Step {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let State { x, weight, rows, shape: [outputs, inputs] } = ops.state;
        let dy = HostValues::from(grads.consume::<Flex>(&ops.node));
        let dy_view = MatrixView::contiguous(&dy, [rows, outputs]);
        for (index, parent) in ops.parents.into_iter().enumerate() {
            let Some(parent) = parent else { continue };
            let gradient = match index {
                0 => {
                    let mut dx = vec![0.0; rows * inputs];
                    gemm(&mut dx, inputs, dy_view, MatrixView::contiguous(&weight, [outputs, inputs]), 1.0, false);
                    tensor(dx, x.shape())
                }
                1 => {
                    let mut dw = vec![0.0; outputs * inputs];
                    gemm(&mut dw, inputs, dy_view.transposed(), MatrixView::contiguous(&x, [rows, inputs]), 1.0, false);
                    tensor(dw, [outputs, inputs])
                }
                _ => {
                    let mut db = vec![0.0; outputs];
                    add_rows(&dy, &mut db);
                    tensor(db, [outputs])
                }
            };
            grads.register::<Flex>(parent.id, gradient);
        }
    }
}
