//! The speed of recent prompts, to estimate the time of prompts to come.

use crate::backend::Outcome;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Decay of the weight of earlier prompts per new prompt.
const DECAY: f64 = 0.8;

/// The speed of prompts with and without images to encode, which differ by orders of magnitude.
#[derive(Debug, Default)]
pub(crate) struct PromptSpeed {
    images: Mutex<Rate>,
    text: Mutex<Rate>,
}

/// Weighted sums over prompts.
#[derive(Debug, Default)]
struct Rate {
    tokens: f64,
    seconds: f64,
}

impl PromptSpeed {
    fn rate(&self, has_images: bool) -> std::sync::MutexGuard<'_, Rate> {
        let rate = if has_images { &self.images } else { &self.text };
        rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a prompt into account. Tokens that were reused from an earlier request do not count.
    pub(crate) fn record(&self, outcome: &Outcome) {
        let mut rate = self.rate(outcome.timings.vision > Duration::ZERO);
        rate.tokens = DECAY * rate.tokens + outcome.prompt_tokens.saturating_sub(outcome.cached_tokens) as f64;
        rate.seconds = DECAY * rate.seconds + outcome.timings.first_token().as_secs_f64();
    }

    /// Estimated seconds to the first token of a prompt of which nothing is reused; none before a similar one was
    /// answered.
    pub(crate) fn seconds(&self, tokens: usize, has_images: bool) -> Option<f64> {
        let rate = self.rate(has_images);
        (rate.tokens > 0.0).then(|| tokens as f64 * rate.seconds / rate.tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::PromptSpeed;
    use crate::backend::Outcome;
    use smolvlm::{FinishReason, Timings};
    use std::time::Duration;

    fn outcome(prompt_tokens: usize, cached_tokens: usize, vision: u64, prefill: u64) -> Outcome {
        let mut timings = Timings::default();
        [timings.vision, timings.prefill] = [vision, prefill].map(Duration::from_secs);
        Outcome { tokens: 0, finish_reason: FinishReason::Eos, prompt_tokens, cached_tokens, image_tokens: 0, timings }
    }

    #[test]
    fn prompts_with_images_and_without_have_their_own_speed() {
        let speed = PromptSpeed::default();
        assert_eq!(speed.seconds(10, true), None);
        speed.record(&outcome(100, 0, 30, 20));
        assert_eq!(speed.seconds(10, true), Some(5.0));
        assert_eq!(speed.seconds(10, false), None);
        // The images were reused, and so were 80 tokens.
        speed.record(&outcome(100, 80, 0, 2));
        assert_eq!(speed.seconds(10, false), Some(1.0));
        assert_eq!(speed.seconds(10, true), Some(5.0));
        // Recent prompts count more.
        speed.record(&outcome(20, 0, 0, 6));
        assert!(speed.seconds(10, false).is_some_and(|seconds| seconds > 2.0 && seconds < 3.0));
    }
}
