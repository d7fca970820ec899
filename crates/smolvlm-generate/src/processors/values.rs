//! Processors that change all scores.

use super::{LogitsProcessor, Text};
use crate::softmax::Softmax;

/// Replaces NaN and infinities.
#[derive(Debug)]
pub(super) struct RemoveInvalid;

impl LogitsProcessor for RemoveInvalid {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        for score in scores {
            *score = if score.is_nan() { 0.0 } else { score.clamp(f32::MIN, f32::MAX) };
        }
    }
}

/// Divides all scores by the temperature.
#[derive(Debug)]
pub(super) struct Temperature {
    pub(super) temperature: f32,
}

impl LogitsProcessor for Temperature {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        for score in scores {
            *score = at_temperature(*score, self.temperature);
        }
    }
}

/// The score divided by the temperature.
pub(crate) fn at_temperature(score: f32, temperature: f32) -> f32 {
    score / temperature
}

/// Converts scores to log-probabilities.
#[derive(Debug)]
pub(super) struct Renormalize;

impl LogitsProcessor for Renormalize {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        let softmax = Softmax::of(scores.iter().copied());
        if !softmax.is_empty() {
            for score in scores {
                *score = softmax.log_prob(*score);
            }
        }
    }
}
