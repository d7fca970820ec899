//! Softmax of attention and of cross entropy.

use crate::cpu::isa::vectorized;
use crate::exp::exp;

const LANES: usize = 16;

vectorized! {
    /// Applies softmax to each row of scores and writes its log-sum-exp to `log_sums`.
    pub fn softmax_rows(scores: &mut [f32], log_sums: &mut [f32]) {
        let keys = scores.len() / log_sums.len().max(1);
        for (row, log_sum) in scores.chunks_exact_mut(keys.max(1)).zip(log_sums) {
            let mut lane_max = [f32::MIN; LANES];
            let (chunks, rest) = row.as_chunks::<LANES>();
            for chunk in chunks {
                for lane in 0..LANES {
                    lane_max[lane] = if chunk[lane] > lane_max[lane] { chunk[lane] } else { lane_max[lane] };
                }
            }
            let largest = lane_max.iter().chain(rest).fold(f32::MIN, |a, b| a.max(*b));
            let mut sums = [0.0_f32; LANES];
            let (chunks, rest) = row.as_chunks_mut::<LANES>();
            for chunk in chunks {
                for lane in 0..LANES {
                    chunk[lane] = exp(chunk[lane] - largest);
                    sums[lane] += chunk[lane];
                }
            }
            let mut sum = sums.iter().sum::<f32>();
            for value in rest {
                *value = exp(*value - largest);
                sum += *value;
            }
            let factor = 1.0 / sum;
            row.iter_mut().for_each(|value| *value *= factor);
            *log_sum = largest + sum.ln();
        }
    }
}

vectorized! {
    /// Recomputes the softmax weights from the scores and the log-sum-exp of each row.
    pub fn softmax_from_log_sums(scores: &mut [f32], log_sums: &[f32]) {
        let keys = scores.len() / log_sums.len().max(1);
        for (row, log_sum) in scores.chunks_exact_mut(keys.max(1)).zip(log_sums) {
            row.iter_mut().for_each(|value| *value = exp(*value - log_sum));
        }
    }
}

vectorized! {
    /// Backward pass of softmax: converts the gradients of weights, in `d_scores`, to gradients of scores, given the
    /// weighted mean gradient of each row.
    pub fn softmax_backward(weights: &[f32], means: &[f32], d_scores: &mut [f32]) {
        let keys = weights.len() / means.len().max(1);
        let rows = d_scores.chunks_exact_mut(keys.max(1)).zip(weights.chunks_exact(keys.max(1)));
        for ((d_scores, weights), mean) in rows.zip(means) {
            for (d_score, weight) in d_scores.iter_mut().zip(weights) {
                *d_score = (*d_score - mean) * weight;
            }
        }
    }
}

vectorized! {
    /// Log-sum-exp of a row of logits.
    pub fn log_sum_exp(logits: &[f32]) -> f32 {
        let largest = logits.iter().fold(f32::MIN, |a, b| if *b > a { *b } else { a });
        let mut sums = [0.0_f32; LANES];
        let (chunks, rest) = logits.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                sums[lane] += exp(chunk[lane] - largest);
            }
        }
        let sum = sums.iter().sum::<f32>() + rest.iter().map(|value| exp(value - largest)).sum::<f32>();
        largest + sum.ln()
    }
}

vectorized! {
    /// `factor softmax(logits)`, given the log-sum-exp of the row.
    pub fn scaled_softmax(logits: &[f32], log_sum: f32, factor: f32, out: &mut [f32]) {
        for (out, logit) in out.iter_mut().zip(logits) {
            *out = exp(logit - log_sum) * factor;
        }
    }
}
