//! Cross entropy of logits.

use super::{record, recorded, tensor};
use crate::HostValues;
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use rayon::prelude::*;
use smolvlm_kernels::cpu::backward::{log_sum_exp, scaled_softmax};
use std::sync::Arc;

/// See [`cross_entropy`](crate::cross_entropy).
pub(crate) fn cross_entropy(logits: &Tensor<2>, targets: &[u32], scale: f32) -> Option<Tensor<1>> {
    let [rows, classes] = logits.dims();
    assert_eq!(rows, targets.len(), "a target for each row");
    let logits = recorded(logits)?;
    let values = HostValues::from(logits.primitive().clone());
    let log_sums: Vec<f32> = values.par_chunks(classes).map(log_sum_exp).collect();
    let losses = log_sums.iter().zip(targets).enumerate();
    let total: f64 = losses.map(|(row, (sum, &target))| f64::from(sum - values[row * classes + target as usize])).sum();
    let out = tensor(vec![total as f32 * scale], [1]);
    let state = State { logits: values, targets: targets.into(), log_sums: log_sums.into(), scale };
    Some(record(Step, [logits.node()], state, out))
}

#[derive(Debug)]
struct Step;

#[derive(Debug, Clone)]
struct State {
    logits: HostValues,
    targets: Arc<[u32]>,
    log_sums: Arc<[f32]>,
    scale: f32,
}

impl Backward<Flex, 1> for Step {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let State { logits, targets, log_sums, scale } = &ops.state;
        let dy = HostValues::from(grads.consume::<Flex>(&ops.node));
        let [Some(parent)] = ops.parents else { return };
        let factor = dy.first().copied().unwrap_or_default() * scale;
        let classes = logits.len() / targets.len().max(1);
        let mut out = vec![0.0; logits.len()];
        let rows = out.par_chunks_mut(classes.max(1)).zip(logits.par_chunks(classes.max(1)));
        rows.zip(targets.par_iter().zip(&log_sums[..])).for_each(|((out, logits), (&target, log_sum))| {
            scaled_softmax(logits, *log_sum, factor, out);
            out[target as usize] -= factor;
        });
        grads.register::<Flex>(parent.id, tensor(out, logits.shape()));
    }
}
