//! Processors that raise or lower scores.

use super::{LogitsProcessor, Text};
use smolvlm_config::{ExponentialDecay, SequenceBias};
use std::collections::BTreeMap;

/// Adds a bias to the last token of a sequence if the tokens before it were just generated.
#[derive(Debug)]
pub(super) struct SequenceBiases {
    biases: Vec<SequenceBias>,
}

impl SequenceBiases {
    /// If there are several biases for the same sequence, the last one is used.
    pub(super) fn new(all: &[SequenceBias]) -> Self {
        let mut biases: Vec<SequenceBias> = Vec::with_capacity(all.len());
        for bias in all {
            match biases.iter_mut().find(|known| known.tokens == bias.tokens) {
                Some(known) => known.bias = bias.bias,
                None => biases.push(bias.clone()),
            }
        }
        Self { biases }
    }
}

impl LogitsProcessor for SequenceBiases {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        for SequenceBias { tokens, bias } in &self.biases {
            if let Some((&last, prefix)) = tokens.split_last()
                && text.ids.ends_with(prefix)
                && let Some(score) = scores.get_mut(last as usize)
            {
                *score += *bias as f32;
            }
        }
    }
}

/// Penalizes tokens that occur in the prompt or the generated text, each once.
#[derive(Debug)]
pub(super) struct Repetition {
    penalty: f32,
    penalized: Vec<f32>,
}

impl Repetition {
    pub(super) fn new(penalty: f32) -> Self {
        Self { penalty, penalized: Vec::new() }
    }
}

impl LogitsProcessor for Repetition {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        // All scores are read before any is written, so that a token that occurs twice is penalized once.
        let penalty = self.penalty;
        self.penalized.clear();
        self.penalized.extend(text.ids.iter().map(|&token| match scores.get(token as usize) {
            Some(&score) if score < 0.0 => score * penalty,
            Some(&score) => score / penalty,
            None => f32::NAN,
        }));
        for (&token, &penalized) in text.ids.iter().zip(&self.penalized) {
            if let Some(score) = scores.get_mut(token as usize) {
                *score = penalized;
            }
        }
    }
}

/// Penalizes tokens of the generated text by how often they occur, and for occurring at all.
#[derive(Debug)]
pub(super) struct Occurrence {
    frequency: f32,
    presence: f32,
    counts: BTreeMap<u32, f32>,
}

impl Occurrence {
    pub(super) fn new(frequency: f32, presence: f32) -> Self {
        Self { frequency, presence, counts: BTreeMap::new() }
    }
}

impl LogitsProcessor for Occurrence {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        // Counted anew for each token, because the beams of a search share their processors.
        self.counts.clear();
        for &token in text.ids.get(text.prompt_len..).unwrap_or_default() {
            *self.counts.entry(token).or_default() += 1.0;
        }
        for (&token, &count) in &self.counts {
            if let Some(score) = scores.get_mut(token as usize) {
                *score -= self.frequency * count + self.presence;
            }
        }
    }
}

/// Raises the scores of end tokens with increasing length.
#[derive(Debug)]
pub(super) struct LengthDecay {
    decay: ExponentialDecay,
    eos: Vec<u32>,
}

impl LengthDecay {
    pub(super) fn new(decay: ExponentialDecay, eos: &[u32]) -> Self {
        let mut eos = eos.to_vec();
        eos.sort_unstable();
        eos.dedup();
        Self { decay, eos }
    }
}

impl LogitsProcessor for LengthDecay {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        let start = text.prompt_len.saturating_add(self.decay.start);
        let Some(late) = text.ids.len().checked_sub(start).filter(|&late| late > 0) else { return };
        // An infinite factor times a score of 0 would be NaN.
        let growth = ((self.decay.factor.powf(late as f64) - 1.0) as f32).min(f32::MAX);
        for &token in &self.eos {
            if let Some(score) = scores.get_mut(token as usize)
                && score.is_finite()
            {
                *score += score.abs() * growth;
            }
        }
    }
}
