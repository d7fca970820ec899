//! What a generation loop is asked to do.

mod builder;
mod validate;

use crate::{Error, LoopGuard};
use smolvlm_config::{
    DEFAULT_MAX_NEW_TOKENS, EarlyStopping, ExponentialDecay, GenerationConfig, SequenceBias, Watermarking,
};
use std::time::Duration;

/// What a generation loop is asked to do: how long a text may get, how its tokens are chosen, what ends it.
///
/// The fields can be set directly or in a chain; the method has the field's name and takes the value without `Some`:
///
/// ```
/// # use smolvlm_generate::SamplingParams;
/// let params = SamplingParams::greedy().max_new_tokens(64).eos_token_ids([2, 49279]);
/// let params = SamplingParams::sampling().seed(7).temperature(0.7).min_p(0.05);
/// ```
///
/// Names and meanings are those of transformers' `GenerationConfig`. Lengths count the tokens of the row itself,
/// without padding.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SamplingParams {
    /// Most tokens to generate for one text, its end token included. At least 1.
    pub max_new_tokens: usize,
    /// Most tokens of prompt and generated text together. Where it is set, it takes the place of `max_new_tokens`; the
    /// method [`max_new_tokens`](Self::max_new_tokens) unsets it.
    pub max_length: Option<usize>,
    /// Fewest tokens to generate before an end token is allowed. Unless it is 0, it takes the place of `min_length`.
    pub min_new_tokens: usize,
    /// Fewest tokens of prompt and generated text together before an end token is allowed.
    pub min_length: usize,
    /// Tokens that end a text. Without any, a text ends at its length.
    pub eos_token_ids: Vec<u32>,
    /// Token that fills the shorter rows of a batch.
    pub pad_token_id: Option<u32>,
    /// Whether special tokens (end of text, image markers) are left out of decoded text. They are always among the
    /// token ids.
    pub skip_special_tokens: bool,
    /// Texts that end a text when they appear. They stay in it.
    pub stop_strings: Vec<String>,

    /// Whether tokens are drawn; otherwise the likeliest one is taken.
    pub do_sample: bool,
    /// Start of the random numbers; without one they differ from run to run.
    pub seed: Option<u64>,
    /// What logits are divided by. Above 0.
    pub temperature: f32,
    /// Number of likeliest tokens to draw from; 0 is all.
    pub top_k: usize,
    /// Probability that the likeliest tokens to draw from have together, 0 to 1.
    pub top_p: f32,
    /// Least probability of a token to draw, as a fraction of the likeliest one's, 0 to 1.
    pub min_p: Option<f32>,
    /// Probability that the most typical tokens have together, above 0; 1 is all.
    pub typical_p: f32,
    /// Fraction of the entropy that the likeliest tokens to draw from have together, above 0 and at most 1.
    pub top_h: Option<f32>,
    /// Least probability of a token to draw, 0 to 1.
    pub epsilon_cutoff: f32,
    /// Least probability of a token to draw, lowered where the entropy is high, 0 to 1.
    pub eta_cutoff: f32,

    /// Penalty on tokens that occurred in prompt or text: positive logits are divided by it, negative ones multiplied.
    /// Above 0; 1 is none.
    pub repetition_penalty: f32,
    /// Length of token runs that may not occur twice, prompt included; 0 is none.
    pub no_repeat_ngram_size: usize,
    /// Token runs that may not be generated. Single end tokens are passed over.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// Additions to the last logit of token runs.
    pub sequence_bias: Vec<SequenceBias>,
    /// The only token allowed behind a prompt of one token.
    pub forced_bos_token_id: Option<u32>,
    /// The only tokens allowed at the last place.
    pub forced_eos_token_ids: Vec<u32>,
    /// Growth of the end tokens' logits with the length.
    pub exponential_decay: Option<ExponentialDecay>,
    /// Tokens that are never generated.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are not generated first.
    pub begin_suppress_tokens: Vec<u32>,
    /// Whether NaN becomes 0, and infinities the largest and least number.
    pub remove_invalid_values: bool,
    /// Whether the processed logits are turned into log-probabilities.
    pub renormalize_logits: bool,

    /// Number of beams; 1 is no beam search.
    pub num_beams: usize,
    /// Exponent of the length that a beam's score is divided by.
    pub length_penalty: f32,
    /// When a beam search ends.
    pub early_stopping: EarlyStopping,
    /// Number of texts for a prompt: more than 1 needs drawn tokens or as many beams.
    pub num_return_sequences: usize,

    /// Time after which generation stops.
    pub max_time: Option<Duration>,
    /// Log-probabilities to give with each token: of the token itself and of this many likeliest ones.
    pub logprobs: Option<usize>,
    /// Ends a text that repeats itself without end.
    pub loop_guard: Option<LoopGuard>,
    /// Prompt tokens that are processed at once; without it, all of them.
    pub prefill_chunk: Option<usize>,

    /// Weight of classifier-free guidance of a checkpoint's file. Not supported: [`validate`](Self::validate) refuses
    /// anything but 1.
    pub guidance_scale: f32,
    /// Watermark of a checkpoint's file. Not supported: [`validate`](Self::validate) refuses it.
    pub watermarking: Option<Watermarking>,
}

impl SamplingParams {
    /// Greedy decoding of at most 20 tokens (the reference's default), without end tokens, special tokens skipped.
    pub fn greedy() -> Self {
        Self {
            max_new_tokens: DEFAULT_MAX_NEW_TOKENS,
            max_length: None,
            min_new_tokens: 0,
            min_length: 0,
            eos_token_ids: Vec::new(),
            pad_token_id: None,
            skip_special_tokens: true,
            stop_strings: Vec::new(),
            do_sample: false,
            seed: None,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            min_p: None,
            typical_p: 1.0,
            top_h: None,
            epsilon_cutoff: 0.0,
            eta_cutoff: 0.0,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            bad_words_ids: Vec::new(),
            sequence_bias: Vec::new(),
            forced_bos_token_id: None,
            forced_eos_token_ids: Vec::new(),
            exponential_decay: None,
            suppress_tokens: Vec::new(),
            begin_suppress_tokens: Vec::new(),
            remove_invalid_values: false,
            renormalize_logits: false,
            num_beams: 1,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::WhenUnlikely,
            num_return_sequences: 1,
            max_time: None,
            logprobs: None,
            loop_guard: None,
            prefill_chunk: None,
            guidance_scale: 1.0,
            watermarking: None,
        }
    }

    /// [`greedy`](Self::greedy) with tokens drawn instead: from the 50 likeliest, unless `top_k` is changed.
    pub fn sampling() -> Self {
        Self::greedy().do_sample(true)
    }

    /// All parameters of a checkpoint; the reference's defaults where it sets none. Where it has both,
    /// `max_new_tokens` wins over `max_length` and `min_new_tokens` over `min_length`. How the cache is kept is not
    /// taken over.
    pub fn from_config(config: &GenerationConfig) -> Self {
        let config = config.clone().or(GenerationConfig::defaults());
        let base = Self::greedy();
        let number = |value: Option<f64>, otherwise: f32| value.map_or(otherwise, |value| value as f32);
        Self {
            max_new_tokens: config.max_new_tokens.unwrap_or(base.max_new_tokens),
            max_length: if config.max_new_tokens.is_some() { None } else { config.max_length },
            min_new_tokens: config.min_new_tokens.unwrap_or(base.min_new_tokens),
            min_length: if config.min_new_tokens.is_some() { 0 } else { config.min_length.unwrap_or(base.min_length) },
            eos_token_ids: config.eos_token_ids,
            pad_token_id: config.pad_token_id,
            skip_special_tokens: base.skip_special_tokens,
            stop_strings: config.stop_strings,
            do_sample: config.do_sample.unwrap_or(base.do_sample),
            seed: None,
            temperature: number(config.temperature, base.temperature),
            top_k: config.top_k.unwrap_or(base.top_k),
            top_p: number(config.top_p, base.top_p),
            min_p: config.min_p.map(|value| value as f32),
            typical_p: number(config.typical_p, base.typical_p),
            top_h: config.top_h.map(|value| value as f32),
            epsilon_cutoff: number(config.epsilon_cutoff, base.epsilon_cutoff),
            eta_cutoff: number(config.eta_cutoff, base.eta_cutoff),
            repetition_penalty: number(config.repetition_penalty, base.repetition_penalty),
            no_repeat_ngram_size: config.no_repeat_ngram_size.unwrap_or(base.no_repeat_ngram_size),
            bad_words_ids: config.bad_words_ids,
            sequence_bias: config.sequence_bias,
            forced_bos_token_id: config.forced_bos_token_id,
            forced_eos_token_ids: config.forced_eos_token_ids,
            exponential_decay: config.exponential_decay_length_penalty,
            suppress_tokens: config.suppress_tokens,
            begin_suppress_tokens: config.begin_suppress_tokens,
            remove_invalid_values: config.remove_invalid_values.unwrap_or(base.remove_invalid_values),
            renormalize_logits: config.renormalize_logits.unwrap_or(base.renormalize_logits),
            num_beams: config.num_beams.unwrap_or(base.num_beams),
            length_penalty: number(config.length_penalty, base.length_penalty),
            early_stopping: config.early_stopping.unwrap_or(base.early_stopping),
            num_return_sequences: config.num_return_sequences.unwrap_or(base.num_return_sequences),
            // More seconds than a `Duration` holds are no limit.
            max_time: config.max_time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            logprobs: None,
            loop_guard: None,
            prefill_chunk: config.prefill_chunk_size,
            guidance_scale: number(config.guidance_scale, base.guidance_scale),
            watermarking: config.watermarking,
        }
    }

    /// Takes the end tokens of a checkpoint if none are set.
    #[must_use]
    pub fn or_eos_of(mut self, config: &GenerationConfig) -> Self {
        if self.eos_token_ids.is_empty() {
            self.eos_token_ids.clone_from(&config.eos_token_ids);
        }
        self
    }

    /// How many tokens may be generated behind a prompt of `prompt_len` tokens, at least 1.
    ///
    /// # Errors
    ///
    /// [`Error::MaxNewTokens`] for a length of 0, [`Error::MaxLength`] when the prompt fills `max_length`.
    pub fn limit(&self, prompt_len: usize) -> Result<usize, Error> {
        match self.max_length {
            Some(max_length) if max_length > prompt_len => Ok(max_length - prompt_len),
            Some(max_length) => Err(Error::MaxLength { prompt_len, max_length }),
            None if self.max_new_tokens > 0 => Ok(self.max_new_tokens),
            None => Err(Error::MaxNewTokens { max_new_tokens: 0 }),
        }
    }
}

/// The number that a parameter was written as. 0.9 as f32 is a little less, and 1 - 0.9 must be what the reference, which
/// calculates parameters in f64, takes for 0.1.
pub(crate) fn as_written(parameter: f32) -> f64 {
    parameter.to_string().parse().unwrap_or(f64::from(parameter))
}

impl Default for SamplingParams {
    /// [`greedy`](Self::greedy).
    fn default() -> Self {
        Self::greedy()
    }
}

#[cfg(test)]
mod tests;
