//! Activation functions and gated activations.

use super::{record, recorded, tensor};
use crate::HostValues;
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use rayon::prelude::*;
use smolvlm_kernels::Activation;
use smolvlm_kernels::cpu::backward::{activation_backward, gate_backward};

/// Values per task.
const CHUNK: usize = 1 << 14;

/// See [`activate`](crate::activate).
pub(crate) fn activate<const D: usize>(function: Activation, x: &Tensor<D>) -> Option<Tensor<D>> {
    let x = recorded(x)?;
    let state = ActivationState { x: x.primitive().clone().into(), function };
    let mut out = state.x.to_vec();
    out.par_chunks_mut(CHUNK).for_each(|values| function.apply(values));
    let out = tensor(out, state.x.shape());
    Some(record(ActivationStep, [x.node()], state, out))
}

/// See [`gate`](crate::gate).
pub(crate) fn gate<const D: usize>(function: Activation, gate: &Tensor<D>, x: &Tensor<D>) -> Option<Tensor<D>> {
    let (gate, x) = (recorded(gate)?, recorded(x)?);
    let state = GateState { gate: gate.primitive().clone().into(), x: x.primitive().clone().into(), function };
    let mut out = state.gate.to_vec();
    out.par_chunks_mut(CHUNK).zip(state.x.par_chunks(CHUNK)).for_each(|(out, x)| function.gate(out, x));
    let out = tensor(out, state.x.shape());
    Some(record(GateStep, [gate.node(), x.node()], state, out))
}

#[derive(Debug)]
struct ActivationStep;

#[derive(Debug, Clone)]
struct ActivationState {
    x: HostValues,
    function: Activation,
}

impl Backward<Flex, 1> for ActivationStep {
    type State = ActivationState;

    fn backward(self, ops: Ops<ActivationState, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ActivationState { x, function } = &ops.state;
        let dy = HostValues::from(grads.consume::<Flex>(&ops.node));
        let [Some(parent)] = ops.parents else { return };
        let mut dx = vec![0.0; x.len()];
        dx.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .zip(dy.par_chunks(CHUNK))
            .for_each(|((dx, x), dy)| activation_backward(*function, x, dy, dx));
        grads.register::<Flex>(parent.id, tensor(dx, x.shape()));
    }
}

#[derive(Debug)]
struct GateStep;

#[derive(Debug, Clone)]
struct GateState {
    gate: HostValues,
    x: HostValues,
    function: Activation,
}

impl Backward<Flex, 2> for GateStep {
    type State = GateState;

    fn backward(self, ops: Ops<GateState, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let GateState { gate, x, function } = &ops.state;
        let dy = HostValues::from(grads.consume::<Flex>(&ops.node));
        let (mut d_gate, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let out = d_gate.par_chunks_mut(CHUNK).zip(dx.par_chunks_mut(CHUNK));
        let given = gate.par_chunks(CHUNK).zip(x.par_chunks(CHUNK)).zip(dy.par_chunks(CHUNK));
        out.zip(given).for_each(|((d_gate, dx), ((gate, x), dy))| gate_backward(*function, gate, x, dy, d_gate, dx));
        for (parent, gradient) in ops.parents.into_iter().zip([d_gate, dx]) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, tensor(gradient, x.shape()));
            }
        }
    }
}
