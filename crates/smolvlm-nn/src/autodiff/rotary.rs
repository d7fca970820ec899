//! Rotary position embedding.

use super::{record, recorded, tensor};
use crate::HostValues;
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use rayon::prelude::*;
use smolvlm_kernels::cpu;

/// See [`rotate`](crate::rotate).
pub(crate) fn rotate(x: &Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Option<Tensor<4>> {
    let x = recorded(x)?;
    let table = |table: &Tensor<4>| recorded(table).map(|table| HostValues::from(table.primitive().clone()));
    let angles = Angles { cos: table(cos)?, sin: table(sin)?, rows: cos.dims()[0] };
    let out = angles.rotate(x.primitive().clone(), false);
    Some(record(Step, [x.node()], angles, out))
}

#[derive(Debug)]
struct Step;

/// Cosines and sines, `[rows, tokens, width]`; both halves of the width are equal.
#[derive(Debug, Clone)]
struct Angles {
    cos: HostValues,
    sin: HostValues,
    rows: usize,
}

impl Angles {
    /// Rotates `[batch, heads, tokens, width]`, or rotates back; the result is stored in token-major order.
    fn rotate(&self, x: FlexTensor, inverse: bool) -> FlexTensor {
        let shape = x.layout().shape().clone();
        let (batch, heads, tokens, width) = (shape[0], shape[1], shape[2], shape[3]);
        // A copy in that order, which needs no transposition if the input is stored so.
        let mut values = HostValues::from(x.permute(&[0, 2, 1, 3])).to_vec();
        let half = width / 2;
        values.par_chunks_mut(tokens * heads * width).enumerate().for_each(|(row, values)| {
            let mut signed_sin = vec![0.0; half];
            for (token, values) in values.chunks_exact_mut(heads * width).enumerate() {
                let start = (if self.rows == 1 { 0 } else { row } * tokens + token) * width;
                let (cos, sin) = (&self.cos[start..][..half], &self.sin[start..][..half]);
                signed_sin
                    .iter_mut()
                    .zip(sin)
                    .for_each(|(signed_sin, sin)| *signed_sin = if inverse { -sin } else { *sin });
                values.chunks_exact_mut(width).for_each(|head| cpu::rotate(head, cos, &signed_sin));
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
        grads.register::<Flex>(parent.id, ops.state.rotate(dy, true));
    }
}
