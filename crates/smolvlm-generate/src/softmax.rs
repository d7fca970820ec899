//! Probabilities of a row of scores.

use crate::Error;

/// The softmax of a row of scores.
///
/// NaN has probability 0. Infinite scores share the whole probability.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Softmax {
    max: f32,
    sum: f64,
    log_sum: f64,
}

impl Softmax {
    pub(crate) fn of(scores: impl Iterator<Item = f32> + Clone) -> Self {
        let max = scores.clone().fold(f32::NEG_INFINITY, f32::max);
        let unscaled = Self { max, sum: 1.0, log_sum: 0.0 };
        let sum: f64 = scores.map(|score| unscaled.weight(score)).sum();
        Self { max, sum, log_sum: sum.ln() }
    }

    /// Whether all scores are minus infinity or NaN.
    pub(crate) fn is_empty(&self) -> bool {
        self.max == f32::NEG_INFINITY
    }

    /// The largest score.
    pub(crate) fn max(&self) -> f32 {
        self.max
    }

    /// The sum of all weights.
    pub(crate) fn sum(&self) -> f64 {
        self.sum
    }

    /// The probability of a score, times [`sum`](Self::sum).
    pub(crate) fn weight(&self, score: f32) -> f64 {
        if score == self.max {
            1.0
        } else if score > f32::NEG_INFINITY {
            f64::from((score - self.max).exp())
        } else {
            0.0
        }
    }

    pub(crate) fn prob(&self, score: f32) -> f32 {
        (self.weight(score) / self.sum) as f32
    }

    pub(crate) fn log_prob(&self, score: f32) -> f32 {
        // The difference of two equal infinities is NaN.
        let above_max = if score == self.max { 0.0 } else { f64::from(score) - f64::from(self.max) };
        (above_max - self.log_sum) as f32
    }

    /// The entropy of the probabilities of the same scores.
    pub(crate) fn entropy(&self, scores: impl Iterator<Item = f32>) -> f32 {
        let term = |score| {
            let prob = self.prob(score);
            if prob > 0.0 { f64::from(self.log_prob(score) * prob) } else { 0.0 }
        };
        -(scores.map(term).sum::<f64>()) as f32
    }
}

/// The log-probabilities of some tokens, whose ids are below the number of logits.
///
/// # Errors
///
/// [`Error::AllNan`].
pub fn token_logprobs(logits: &[f32], tokens: impl IntoIterator<Item = u32>) -> Result<Vec<f32>, Error> {
    let softmax = Softmax::of(logits.iter().copied());
    if softmax.is_empty() {
        return Err(Error::AllNan { vocabulary: logits.len() });
    }
    // NaN has probability 0, like tokens that do not exist.
    let logit = |token| logits.get(token as usize).copied().filter(|logit| !logit.is_nan());
    Ok(tokens.into_iter().map(|token| softmax.log_prob(logit(token).unwrap_or(f32::NEG_INFINITY))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probs(scores: &[f32]) -> Vec<f32> {
        let softmax = Softmax::of(scores.iter().copied());
        scores.iter().map(|&score| softmax.prob(score)).collect()
    }

    #[test]
    fn probabilities_sum_to_one() {
        assert_eq!(probs(&[0.0, 0.0, f32::NEG_INFINITY, 0.0, 0.0]), [0.25, 0.25, 0.0, 0.25, 0.25]);
        assert_eq!(probs(&[88.0]), [1.0]);
        assert_eq!(probs(&[3e38, -3e38]), [1.0, 0.0]);
        let sum: f32 = probs(&[2.0, 1.0, 0.5, -1.0, 3.0, 0.0, -2.0, 2.5]).iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }

    #[test]
    fn nan_has_probability_zero() {
        assert_eq!(probs(&[f32::NAN, 1.0, f32::NAN, 1.0]), [0.0, 0.5, 0.0, 0.5]);
        assert_eq!(probs(&[f32::INFINITY, 1.0, f32::INFINITY, f32::NAN]), [0.5, 0.0, 0.5, 0.0]);
        assert!(Softmax::of([f32::NAN, f32::NEG_INFINITY].into_iter()).is_empty());
        assert!(!Softmax::of([f32::MIN].into_iter()).is_empty());
    }

    #[test]
    fn log_probabilities_are_exact_for_extreme_scores() {
        let softmax = Softmax::of([0.0, -1000.0].into_iter());
        assert_eq!(softmax.log_prob(-1000.0), -1000.0);
        assert_eq!(softmax.log_prob(f32::NEG_INFINITY), f32::NEG_INFINITY);
        let infinite = Softmax::of([f32::INFINITY, f32::INFINITY].into_iter());
        assert_eq!(infinite.log_prob(f32::INFINITY), -std::f32::consts::LN_2);
    }

    #[test]
    fn log_probabilities_of_tokens_skip_nan() {
        let logits = [0.0, f32::NAN, 0.0];
        assert_eq!(
            token_logprobs(&logits, [2, 1, 7]).unwrap(),
            [-std::f32::consts::LN_2, f32::NEG_INFINITY, f32::NEG_INFINITY]
        );
        assert!(matches!(token_logprobs(&[f32::NAN; 3], [0]), Err(Error::AllNan { vocabulary: 3 })));
    }

    #[test]
    fn entropy_of_a_uniform_distribution_is_log_n() {
        let scores = [1.5, 1.5, f32::NEG_INFINITY, 1.5, 1.5];
        let entropy = Softmax::of(scores.into_iter()).entropy(scores.into_iter());
        assert!((entropy - 4.0_f32.ln()).abs() < 1e-6);
        assert_eq!(Softmax::of([7.0].into_iter()).entropy([7.0].into_iter()), 0.0);
    }
}
