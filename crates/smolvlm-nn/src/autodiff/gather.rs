//! Row gather of embedding tables.

use super::{record, recorded, tensor};
use crate::HostValues;
use burn::backend::Flex;
use burn::tensor::{Int, Tensor};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use std::sync::Arc;

/// See [`gather_rows`](crate::gather_rows).
pub(crate) fn gather_rows(table: &Tensor<2>, ids: &Tensor<1, Int>) -> Option<Tensor<2>> {
    let [count, width] = table.dims();
    let table = recorded(table)?;
    let ids: Arc<[usize]> = ids.to_data().iter::<i64>().map(|id| id as usize).collect();
    let values = HostValues::from(table.primitive().clone());
    let mut out = Vec::with_capacity(ids.len() * width);
    ids.iter().for_each(|id| out.extend_from_slice(&values[id * width..][..width]));
    let out = tensor(out, [ids.len(), width]);
    Some(record(Step, [table.node()], GatherState { ids, count, width }, out))
}

#[derive(Debug)]
struct Step;

#[derive(Debug, Clone)]
struct GatherState {
    ids: Arc<[usize]>,
    count: usize,
    width: usize,
}

impl Backward<Flex, 1> for Step {
    type State = GatherState;

    fn backward(self, ops: Ops<GatherState, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let GatherState { ids, count, width } = ops.state;
        let dy = HostValues::from(grads.consume::<Flex>(&ops.node));
        let [Some(parent)] = ops.parents else { return };
        let mut d_table = vec![0.0; count * width];
        for (id, dy) in ids.iter().zip(dy.chunks_exact(width)) {
            d_table[id * width..][..width].iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
        }
        grads.register::<Flex>(parent.id, tensor(d_table, [count, width]));
    }
}
