//! Layer norm and RMS norm.

use super::linear::add_rows;
use super::{record, recorded, tensor};
use crate::cpu::isa::vectorized;
use crate::cpu::{self, HostValues};
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use rayon::prelude::*;

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
                    layer_norm_rows(x, dy, weight, *eps, dx, &mut dw);
                    add_rows(dy, &mut db);
                } else {
                    rms_norm_rows(x, dy, weight, *eps, dx, &mut dw);
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

const LANES: usize = 16;

/// The sum of a term over two rows, with one accumulator per lane, so that it vectorizes.
#[inline(always)]
fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b)).sum::<f32>()
}

vectorized! {
    fn layer_norm_rows(x: &[f32], dy: &[f32], weight: &[f32], eps: f32, dx: &mut [f32], dw: &mut [f32]) {
        let width = weight.len();
        let count = width as f32;
        let mut scaled = vec![0.0_f32; width];
        for ((x, dy), dx) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
            let mean = sum_of(x, x, |x, _| x) / count;
            let variance = sum_of(x, x, |x, _| (x - mean) * (x - mean)) / count;
            let scale = 1.0 / (variance + eps).sqrt();
            for ((((dx, x), dy), weight), (dw, scaled)) in
                dx.iter_mut().zip(x).zip(dy).zip(weight).zip(dw.iter_mut().zip(&mut scaled))
            {
                *dx = (x - mean) * scale;
                *dw += dy * *dx;
                *scaled = dy * weight;
            }
            let first = sum_of(&scaled, dx, |scaled, _| scaled) / count;
            let second = sum_of(&scaled, dx, |scaled, x| scaled * x) / count;
            for (dx, scaled) in dx.iter_mut().zip(&scaled) {
                *dx = (scaled - first - *dx * second) * scale;
            }
        }
    }
}

vectorized! {
    fn rms_norm_rows(x: &[f32], dy: &[f32], weight: &[f32], eps: f32, dx: &mut [f32], dw: &mut [f32]) {
        let width = weight.len();
        let count = width as f32;
        let mut scaled = vec![0.0_f32; width];
        for ((x, dy), dx) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
            let scale = 1.0 / (sum_of(x, x, |x, _| x * x) / count + eps).sqrt();
            for ((((dx, x), dy), weight), (dw, scaled)) in
                dx.iter_mut().zip(x).zip(dy).zip(weight).zip(dw.iter_mut().zip(&mut scaled))
            {
                *dx = x * scale;
                *dw += dy * *dx;
                *scaled = dy * weight;
            }
            let second = sum_of(&scaled, dx, |scaled, x| scaled * x) / count;
            for (dx, scaled) in dx.iter_mut().zip(&scaled) {
                *dx = (scaled - *dx * second) * scale;
            }
        }
    }
}
