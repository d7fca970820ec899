//! Softmax of a row of scores.

use super::isa::vectorized;
use super::matrix::Element;
use super::micro::kernels;
use crate::exp::exp2;
use bytemuck::cast_slice_mut;

/// Statistics that normalize the weights of a row, and rescale them when rows are combined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RowStats {
    /// Largest score.
    pub(crate) largest: f32,
    /// Sum of the weights, before they are rounded.
    pub(crate) sum: f32,
}

/// Writes `2^(scale (score - largest))` for every score, the unnormalized softmax. If a score is NaN, so is the sum.
pub(crate) fn softmax<E: Element>(scores: &[f32], scale: f32, weights: &mut [E]) -> RowStats {
    assert_eq!(scores.len(), weights.len(), "as many weights as scores");
    // Elements with one per word are f32, those with two are bf16.
    if E::STEP == 1 {
        (kernels().softmax_f32)(scores, scale, cast_slice_mut(weights))
    } else {
        (kernels().softmax_bf16)(scores, scale, cast_slice_mut(weights))
    }
}

vectorized! {
    pub(crate) fn plain<E: Element>(scores: &[f32], scale: f32, weights: &mut [E]) -> RowStats {
        const LANES: usize = 32;
        let mut lane_max = [f32::NEG_INFINITY; LANES];
        let (chunks, rest) = scores.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                lane_max[lane] = if chunk[lane] > lane_max[lane] { chunk[lane] } else { lane_max[lane] };
            }
        }
        let largest = lane_max.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let shift = -largest * scale;
        let mut sums = [0.0_f32; LANES];
        let (weight_chunks, weight_rest) = weights.as_chunks_mut::<LANES>();
        for (chunk, weights) in chunks.iter().zip(weight_chunks) {
            for lane in 0..LANES {
                let power = if FUSED { chunk[lane].mul_add(scale, shift) } else { chunk[lane] * scale + shift };
                let weight = exp2::<FUSED>(power);
                sums[lane] += weight;
                weights[lane] = E::narrow(weight);
            }
        }
        let mut sum = sums.iter().sum::<f32>();
        for (score, out) in rest.iter().zip(weight_rest) {
            let weight = exp2::<FUSED>(*score * scale + shift);
            sum += weight;
            *out = E::narrow(weight);
        }
        RowStats { largest, sum }
    }
}
