//! Layer norm and RMS norm.

use super::{record, recorded, tensor};
use crate::HostValues;
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use rayon::prelude::*;
use smolvlm_kernels::cpu;
use smolvlm_kernels::cpu::backward::{add_rows, layer_norm_backward, rms_norm_backward};

/// Rows per task; fixed, so that sums do not depend on the number of threads.
const ROWS: usize = 256;

/// See [`LayerNorm`](crate::LayerNorm).
pub(crate) fn layer_norm<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    eps: f64,
) -> Option<Tensor<D>> {
    let (x, weight, bias) = (recorded(x)?, recorded(weight)?, recorded(bias)?);
    let state = State { x: x.primitive().clone().into(), weight: weight.primitive().clone().into(), eps: eps as f32 };
    let shift = HostValues::from(bias.primitive().clone());
    let out = forward(&state, |x, out| cpu::layer_norm(x, &state.weight, &shift, state.eps, out));
    let out = tensor(out, state.x.shape());
    Some(record(Step, [x.node(), weight.node(), bias.node()], state, out))
}

/// See [`RmsNorm`](crate::RmsNorm).
pub(crate) fn rms_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, eps: f64) -> Option<Tensor<D>> {
    let (x, weight) = (recorded(x)?, recorded(weight)?);
    let state = State { x: x.primitive().clone().into(), weight: weight.primitive().clone().into(), eps: eps as f32 };
    let out = forward(&state, |x, out| cpu::rms_norm(x, &state.weight, state.eps, out));
    let out = tensor(out, state.x.shape());
    Some(record(Step, [x.node(), weight.node()], state, out))
}

fn forward(state: &State, norm: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let width = state.weight.len();
    let mut out = vec![0.0; state.x.len()];
    out.par_chunks_mut(ROWS * width).zip(state.x.par_chunks(ROWS * width)).for_each(|(out, x)| {
        out.chunks_exact_mut(width).zip(x.chunks_exact(width)).for_each(|(out, x)| norm(x, out));
    });
    out
}

#[derive(Debug)]
struct Step;

#[derive(Debug, Clone)]
struct State {
    x: HostValues,
    weight: HostValues,
    eps: f32,
}

/// The parents are the inputs, the weight and, of a layer norm, the bias.
impl<const N: usize> Backward<Flex, N> for Step {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let State { x, weight, eps } = &ops.state;
        let width = weight.len();
        let dy = HostValues::from(grads.consume::<Flex>(&ops.node));
        let mut dx = vec![0.0; x.len()];
        let chunks = dx.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width)).zip(dy.par_chunks(ROWS * width));
        let parts: Vec<[Vec<f32>; 2]> = chunks
            .map(|((dx, x), dy)| {
                let (mut dw, mut db) = (vec![0.0; width], vec![0.0; width]);
                if N == 3 {
                    layer_norm_backward(x, dy, weight, *eps, dx, &mut dw);
                    add_rows(dy, &mut db);
                } else {
                    rms_norm_backward(x, dy, weight, *eps, dx, &mut dw);
                }
                [dw, db]
            })
            .collect();
        let sum = |which: usize| {
            let mut sums = vec![0.0; width];
            parts.iter().for_each(|part| add_rows(&part[which], &mut sums));
            tensor(sums, [width])
        };
        let mut dx = Some(tensor(dx, x.shape()));
        for (index, parent) in ops.parents.into_iter().enumerate() {
            let Some(parent) = parent else { continue };
            let gradient = match index {
                0 => dx.take(),
                index => Some(sum(index - 1)),
            };
            if let Some(gradient) = gradient {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
