//! Rotary positions.

use super::{record, recorded, tensor};
use crate::cpu::{self, HostValues};
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use rayon::prelude::*;

/// See [`rotate`](crate::rotate).
pub(crate) fn rotate(x: &Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Option<Tensor<4>> {
    let x = recorded(x)?;
    let table = |table: &Tensor<4>| recorded(table).map(|table| HostValues::from(table.primitive().clone()));
    let angles = Angles { cos: table(cos)?, sin: table(sin)?, rows: cos.dims()[0] };
    let out = angles.turn(x.primitive().clone(), false);
    Some(record(Step, [x.node()], angles, out))
}

#[derive(Debug)]
struct Step;

/// Cosines and sines, `[rows, tokens, width]` with both halves of the width alike.
#[derive(Debug, Clone)]
struct Angles {
    cos: HostValues,
    sin: HostValues,
    rows: usize,
}

impl Angles {
    /// Rotates `[batch, heads, tokens, width]`, or back; the result lies token by token.
    fn turn(&self, x: FlexTensor, back: bool) -> FlexTensor {
        let shape = x.layout().shape().clone();
        let (batch, heads, tokens, width) = (shape[0], shape[1], shape[2], shape[3]);
        // A copy in that order, which costs no rearrangement where the layers before left it so.
        let mut values = HostValues::from(x.permute(&[0, 2, 1, 3])).to_vec();
        let half = width / 2;
        values.par_chunks_mut(tokens * heads * width).enumerate().for_each(|(row, values)| {
            let mut turned = vec![0.0; half];
            for (token, values) in values.chunks_exact_mut(heads * width).enumerate() {
                let place = (if self.rows == 1 { 0 } else { row } * tokens + token) * width;
                let (cos, sin) = (&self.cos[place..][..half], &self.sin[place..][..half]);
                turned.iter_mut().zip(sin).for_each(|(turned, sin)| *turned = if back { -sin } else { *sin });
                values.chunks_exact_mut(width).for_each(|head| cpu::rotate(head, cos, &turned));
            }
        });
        tensor(values, [batch, tokens, heads, width]).permute(&[0, 2, 1, 3])
    }
}

impl Backward<Flex, 1> for Step {
    type State = Angles;

    fn backward(self, ops: Ops<Angles, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node);
        let [Some(parent)] = ops.parents else { return };
        grads.register::<Flex>(parent.id, ops.state.turn(dy, true));
    }
}
