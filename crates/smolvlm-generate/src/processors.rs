//! Logits processors, which change the scores of a row before a token is selected.

mod bans;
mod lengths;
mod penalties;
mod truncation;
mod values;

use crate::{Error, SamplingParams, TokenMask};
use std::fmt;

/// The sequence for which the next token is selected.
#[derive(Debug, Clone, Copy)]
struct Text<'a> {
    /// Prompt and generated tokens, without padding.
    ids: &'a [u32],
    /// Number of prompt tokens among them.
    prompt_len: usize,
}

/// A change to the scores of a row. A masked token has the score minus infinity.
trait LogitsProcessor: fmt::Debug + Send + Sync {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]);
}

/// The logits processors of a set of parameters, in the order of the reference's `generate`: biases, penalties, bans,
/// lengths and forced tokens; then, for sampling, temperature and truncation; finally normalization.
#[derive(Debug)]
pub struct LogitsProcessors {
    list: Vec<Box<dyn LogitsProcessor>>,
    /// Number of processors before the mask of a constraint: all but temperature, truncation and normalization.
    before_mask: usize,
    /// Per parameter, the largest token id that must be in the vocabulary.
    tokens: Vec<(&'static str, u32)>,
}

impl LogitsProcessors {
    /// Creates the processors of `params`; parameters without effect add none.
    pub fn new(params: &SamplingParams) -> Self {
        let mut new = Self { list: Vec::new(), before_mask: 0, tokens: Vec::new() };
        new.add_penalties(params);
        new.add_lengths(params);
        new.before_mask = new.list.len();
        if params.do_sample {
            new.add_warpers(params);
        }
        if params.renormalize_logits {
            new.list.push(Box::new(values::Renormalize));
        }
        new
    }

    /// Whether the scores that are left depend only on the largest scores: the processors are temperature, top-k, and
    /// others after these.
    pub(crate) fn starts_with_top_k(params: &SamplingParams) -> bool {
        let others = SamplingParams { do_sample: false, renormalize_logits: false, ..params.clone() };
        Self::new(&others).is_empty() && params.do_sample && params.top_k > 0 && params.top_h.is_none()
    }

    /// Whether there are no processors, so that scores do not change.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Processes the scores of the token that follows `ids`: prompt and generated tokens of one row without padding,
    /// where the first `prompt_len` are the prompt.
    ///
    /// # Shapes
    ///
    /// `scores`: `[vocabulary]`, logits or, in a beam search, log-probabilities.
    ///
    /// # Errors
    ///
    /// [`Error::Token`] for a biased, banned or forced token outside the vocabulary.
    pub fn apply(&mut self, ids: &[u32], prompt_len: usize, scores: &mut [f32]) -> Result<(), Error> {
        self.apply_masked(ids, prompt_len, scores, None)
    }

    /// As [`apply`](Self::apply), with the mask of a constraint after the penalties, bans and lengths, and before
    /// temperature and truncation.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn apply_masked(
        &mut self,
        ids: &[u32],
        prompt_len: usize,
        scores: &mut [f32],
        mask: Option<&TokenMask>,
    ) -> Result<(), Error> {
        let vocabulary = scores.len();
        for &(parameter, token) in &self.tokens {
            if token as usize >= vocabulary {
                return Err(Error::Token { parameter, token, vocabulary });
            }
        }
        let (before, after) = self.list.split_at_mut(self.before_mask);
        let text = Text { ids, prompt_len };
        before.iter_mut().for_each(|processor| processor.apply(text, scores));
        if let Some(mask) = mask {
            mask.apply(scores);
        }
        after.iter_mut().for_each(|processor| processor.apply(text, scores));
        Ok(())
    }

    fn add_penalties(&mut self, params: &SamplingParams) {
        if !params.sequence_bias.is_empty() {
            self.require("sequence_bias", params.sequence_bias.iter().flat_map(|bias| &bias.tokens));
            self.list.push(Box::new(penalties::SequenceBiases::new(&params.sequence_bias)));
        }
        if params.repetition_penalty != 1.0 {
            self.list.push(Box::new(penalties::Repetition::new(params.repetition_penalty)));
        }
        if params.frequency_penalty != 0.0 || params.presence_penalty != 0.0 {
            self.list.push(Box::new(penalties::Occurrence::new(params.frequency_penalty, params.presence_penalty)));
        }
        if params.no_repeat_ngram_size > 0 {
            self.list.push(Box::new(bans::RepeatedNgrams { size: params.no_repeat_ngram_size }));
        }
        if !params.bad_words_ids.is_empty() {
            self.require("bad_words_ids", params.bad_words_ids.iter().flatten());
            self.list.push(Box::new(bans::BadWords::new(&params.bad_words_ids, &params.eos_token_ids)));
        }
    }

    fn add_lengths(&mut self, params: &SamplingParams) {
        let eos = &params.eos_token_ids;
        if !eos.is_empty() && (params.min_length > 0 || params.min_new_tokens > 0) {
            self.list.push(Box::new(lengths::Minimum::new(params)));
        }
        if let Some(token) = params.forced_bos_token_id {
            self.require("forced_bos_token_id", [&token]);
            self.list.push(Box::new(lengths::ForcedBos { token }));
        }
        if !params.forced_eos_token_ids.is_empty() {
            self.require("forced_eos_token_id", &params.forced_eos_token_ids);
            self.list.push(Box::new(lengths::ForcedEos::new(params)));
        }
        if params.remove_invalid_values {
            self.list.push(Box::new(values::RemoveInvalid));
        }
        if let (Some(decay), false) = (params.exponential_decay, eos.is_empty()) {
            self.require("eos_token_id", eos);
            self.list.push(Box::new(penalties::LengthDecay::new(decay, eos)));
        }
        if !params.suppress_tokens.is_empty() {
            self.list.push(Box::new(bans::Suppressed { tokens: params.suppress_tokens.clone() }));
        }
        if !params.begin_suppress_tokens.is_empty() {
            let after_bos = params.forced_bos_token_id.is_some();
            self.list.push(Box::new(bans::SuppressedFirst { tokens: params.begin_suppress_tokens.clone(), after_bos }));
        }
    }

    fn add_warpers(&mut self, params: &SamplingParams) {
        // Enough tokens must remain that a beam can continue whatever end tokens are among them.
        let keep = if params.num_beams > 1 { params.eos_token_ids.len().max(1) + 1 } else { 1 };
        if params.temperature != 1.0 {
            self.list.push(Box::new(values::Temperature { temperature: params.temperature }));
        }
        if let Some(fraction) = params.top_h {
            self.list.push(Box::new(truncation::TopH { fraction }));
        }
        if params.top_k > 0 {
            self.list.push(Box::new(truncation::TopK { count: params.top_k.max(keep) }));
        }
        if params.top_p < 1.0 {
            self.list.push(Box::new(truncation::TopP::new(params.top_p, keep)));
        }
        if let Some(fraction) = params.min_p {
            self.list.push(Box::new(truncation::MinP { fraction, keep }));
        }
        if params.typical_p < 1.0 {
            self.list.push(Box::new(truncation::Typical { mass: params.typical_p, keep }));
        }
        let cutoff = |cutoff: f32| cutoff > 0.0 && cutoff < 1.0;
        if cutoff(params.epsilon_cutoff) {
            self.list.push(Box::new(truncation::Epsilon { cutoff: params.epsilon_cutoff, keep }));
        }
        if cutoff(params.eta_cutoff) {
            self.list.push(Box::new(truncation::Eta { cutoff: params.eta_cutoff, keep }));
        }
    }

    fn require<'a>(&mut self, parameter: &'static str, tokens: impl IntoIterator<Item = &'a u32>) {
        self.tokens.extend(tokens.into_iter().max().map(|&token| (parameter, token)));
    }
}

pub(crate) use values::at_temperature;

/// Masks a token; tokens outside the vocabulary are ignored.
fn ban(scores: &mut [f32], token: u32) {
    if let Some(score) = scores.get_mut(token as usize) {
        *score = f32::NEG_INFINITY;
    }
}

/// Masks all tokens except these, which get the score 0.
fn force(scores: &mut [f32], tokens: &[u32]) {
    scores.fill(f32::NEG_INFINITY);
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = 0.0;
        }
    }
}

#[cfg(test)]
mod tests;
