//! Softmax of a row of scores.

use super::isa::vectorized;
#[cfg(target_arch = "x86_64")]
use super::isa::{Isa, Level};
use super::matrix::Element;
#[cfg(target_arch = "x86_64")]
use super::micro::avx512_math::{softmax_bf16, softmax_f32};
use crate::exp::exp2;

/// Writes `2^(scale (score - largest))` for every score, the unnormalized softmax, and returns the sum. If a score is
/// NaN, so is the sum.
#[allow(unsafe_code)]
pub(crate) fn softmax<E: Element>(scores: &[f32], scale: f32, weights: &mut [E]) -> f32 {
    assert_eq!(scores.len(), weights.len(), "as many weights as scores");
    #[cfg(target_arch = "x86_64")]
    {
        let isa = Isa::current();
        if E::STEP == 1 && isa.level == Level::Avx512 {
            // SAFETY: detected on this processor; elements with one per word are f32, and there are as many as scores.
            return unsafe { softmax_f32(scores, scale, weights.as_mut_ptr().cast()) };
        }
        if E::STEP == 2 && isa.bf16 {
            // SAFETY: likewise; elements with two per word are bf16.
            return unsafe { softmax_bf16(scores, scale, weights.as_mut_ptr().cast()) };
        }
    }
    plain(scores, scale, weights)
}

vectorized! {
    pub(crate) fn plain<E: Element>(scores: &[f32], scale: f32, weights: &mut [E]) -> f32 {
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
        sum
    }
}
