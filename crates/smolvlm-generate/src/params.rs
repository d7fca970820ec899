//! Generation parameters.

mod builder;
mod seconds;
mod validate;

use crate::{Constraint, Error, LoopGuard};
use serde::{Deserialize, Serialize};
use smolvlm_config::{
    DEFAULT_MAX_NEW_TOKENS, EarlyStopping, ExponentialDecay, GenerationConfig, SequenceBias, Watermarking,
};
use std::time::Duration;

/// Generation parameters: limits on the length, token selection, and stopping criteria.
///
/// The fields can be set directly or with a method of the same name, which takes the value without `Some`:
///
/// ```
/// # use smolvlm_generate::SamplingParams;
/// let params = SamplingParams::greedy().max_new_tokens(64).eos_token_ids([2, 49279]);
/// let params = SamplingParams::sampling().seed(7).temperature(0.7).min_p(0.05);
/// ```
///
/// Names and meanings are those of transformers' `GenerationConfig`, unless a field says otherwise. Lengths count the
/// tokens of a sequence without padding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SamplingParams {
    /// Maximum number of generated tokens per sequence, including the end token. At least 1.
    pub max_new_tokens: usize,
    /// Maximum number of prompt and generated tokens together. If set, it replaces `max_new_tokens`; the method
    /// [`max_new_tokens`](Self::max_new_tokens) unsets it.
    pub max_length: Option<usize>,
    /// Minimum number of generated tokens before an end token is allowed. Unless it is 0, it replaces `min_length`.
    pub min_new_tokens: usize,
    /// Minimum number of prompt and generated tokens together before an end token is allowed.
    pub min_length: usize,
    /// End tokens. Without any, generation ends at the maximum length.
    pub eos_token_ids: Vec<u32>,
    /// Whether special tokens (end of text, image markers) are omitted from decoded text. The token ids always include
    /// them.
    pub skip_special_tokens: bool,
    /// Strings that end generation. They remain in the text.
    pub stop_strings: Vec<String>,

    /// Whether to sample; otherwise the most likely token is taken.
    pub do_sample: bool,
    /// Seed of the random number generator; without a seed, results differ from run to run.
    pub seed: Option<u64>,
    /// Divisor of the logits. Above 0.
    pub temperature: f32,
    /// Number of most likely tokens to sample from; 0 for all.
    pub top_k: usize,
    /// Cumulative probability of the most likely tokens to sample from, 0 to 1.
    pub top_p: f32,
    /// Minimum probability of a token relative to the most likely one, 0 to 1.
    pub min_p: Option<f32>,
    /// Cumulative probability of the most typical tokens, above 0; 1 for all.
    pub typical_p: f32,
    /// Fraction of the entropy covered by the most likely tokens to sample from, above 0 and at most 1.
    pub top_h: Option<f32>,
    /// Minimum probability of a token, 0 to 1.
    pub epsilon_cutoff: f32,
    /// Minimum probability of a token, lowered if the entropy is high, 0 to 1.
    pub eta_cutoff: f32,

    /// Penalty on tokens that occur in the prompt or the generated text: positive logits are divided by it, negative
    /// ones multiplied. Above 0; 1 for none.
    pub repetition_penalty: f32,
    /// Penalty on generated tokens: subtracted from the logit once per occurrence, as in OpenAI's API. Negative values
    /// encourage repetition; 0 for none.
    pub frequency_penalty: f32,
    /// Penalty on generated tokens: subtracted from the logit once, however often the token occurs, as in OpenAI's API.
    /// Negative values encourage repetition; 0 for none.
    pub presence_penalty: f32,
    /// Length of n-grams that may not occur twice, prompt included; 0 for none.
    pub no_repeat_ngram_size: usize,
    /// Token sequences that may not be generated. Entries that are a single end token are ignored.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// Biases added to the logit of the last token of token sequences.
    pub sequence_bias: Vec<SequenceBias>,
    /// The only token allowed after a prompt of one token.
    pub forced_bos_token_id: Option<u32>,
    /// The only tokens allowed at the last position.
    pub forced_eos_token_ids: Vec<u32>,
    /// Exponential increase of the end tokens' logits with the length.
    pub exponential_decay: Option<ExponentialDecay>,
    /// Tokens that are never generated.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are not generated at the first position.
    pub begin_suppress_tokens: Vec<u32>,
    /// Whether NaN is replaced by 0, and infinities by the largest and smallest finite number.
    pub remove_invalid_values: bool,
    /// Whether the processed logits are converted to log-probabilities.
    pub renormalize_logits: bool,

    /// What the text must match. Generation ends when nothing may follow the text, whatever its minimum length.
    /// Requires the feature `constrain`, and excludes beams and forced tokens. A minimum length bans end tokens, and
    /// suppressed or banned tokens are never generated: if a constraint allows nothing else, that is an error.
    pub constraint: Option<Constraint>,

    /// Number of beams; 1 disables beam search.
    pub num_beams: usize,
    /// Exponent of the length by which a beam's score is divided.
    pub length_penalty: f32,
    /// Stopping criterion of beam search.
    pub early_stopping: EarlyStopping,
    /// Number of sequences per prompt: more than 1 requires sampling or as many beams.
    pub num_return_sequences: usize,

    /// Time limit of generation; serialized in seconds.
    #[serde(with = "seconds")]
    pub max_time: Option<Duration>,
    /// Log-probabilities to return with each token: that of the token itself and those of this many most likely ones.
    pub logprobs: Option<usize>,
    /// Criterion that ends generation in case of endless repetition.
    pub loop_guard: Option<LoopGuard>,
    /// Maximum number of prompt tokens per step. Runtimes may use fewer; `smolvlm` at most 1024.
    pub prefill_chunk: Option<usize>,
    /// Maximum number of tokens per step that are looked up in the text so far, and kept if the model generates them;
    /// see [`PromptLookup`](crate::PromptLookup). It changes the speed and not the text; 0 for none. Unused on GPUs, in
    /// beam search, and with `logprobs`.
    pub prompt_lookup_num_tokens: usize,

    /// Weight of classifier-free guidance in a checkpoint's file. Not supported: [`validate`](Self::validate) rejects
    /// values other than 1.
    pub guidance_scale: f32,
    /// Watermark in a checkpoint's file. Not supported: [`validate`](Self::validate) rejects it.
    pub watermarking: Option<Watermarking>,
}

impl SamplingParams {
    /// Parameters for greedy decoding of at most 20 tokens (the reference's default), without end tokens, skipping
    /// special tokens.
    pub fn greedy() -> Self {
        Self {
            max_new_tokens: DEFAULT_MAX_NEW_TOKENS,
            max_length: None,
            min_new_tokens: 0,
            min_length: 0,
            eos_token_ids: Vec::new(),
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
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
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
            constraint: None,
            num_beams: 1,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::WhenUnlikely,
            num_return_sequences: 1,
            max_time: None,
            logprobs: None,
            loop_guard: None,
            prefill_chunk: None,
            prompt_lookup_num_tokens: 15,
            guidance_scale: 1.0,
            watermarking: None,
        }
    }

    /// As [`greedy`](Self::greedy), but with sampling: from the 50 most likely tokens, unless `top_k` is changed.
    pub fn sampling() -> Self {
        Self::greedy().do_sample(true)
    }

    /// The parameters of a checkpoint; the reference's defaults for those that it does not set. `max_new_tokens` takes
    /// precedence over `max_length`, and `min_new_tokens` over `min_length`. Cache settings are ignored.
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
            frequency_penalty: base.frequency_penalty,
            presence_penalty: base.presence_penalty,
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
            constraint: None,
            num_beams: config.num_beams.unwrap_or(base.num_beams),
            length_penalty: number(config.length_penalty, base.length_penalty),
            early_stopping: config.early_stopping.unwrap_or(base.early_stopping),
            num_return_sequences: config.num_return_sequences.unwrap_or(base.num_return_sequences),
            // A time beyond the range of `Duration` is no limit.
            max_time: config.max_time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            logprobs: None,
            loop_guard: None,
            prefill_chunk: config.prefill_chunk_size,
            prompt_lookup_num_tokens: base.prompt_lookup_num_tokens,
            guidance_scale: number(config.guidance_scale, base.guidance_scale),
            watermarking: config.watermarking,
        }
    }

    /// Uses the end tokens of a checkpoint if none are set.
    #[must_use]
    pub fn or_eos_of(mut self, config: &GenerationConfig) -> Self {
        if self.eos_token_ids.is_empty() {
            self.eos_token_ids.clone_from(&config.eos_token_ids);
        }
        self
    }

    /// Whether a prompt gets one text, token by token: neither beams nor several texts, so that it can be streamed.
    pub fn is_streamable(&self) -> bool {
        self.num_beams <= 1 && self.num_return_sequences <= 1
    }

    /// Whether a runtime may append the tokens that a constraint forces without computing their logits: no
    /// log-probabilities are requested, and no tokens are banned or suppressed.
    pub fn allows_forced_tokens(&self) -> bool {
        let bans = self.no_repeat_ngram_size > 0
            || !self.bad_words_ids.is_empty()
            || !self.suppress_tokens.is_empty()
            || !self.begin_suppress_tokens.is_empty()
            || self.sequence_bias.iter().any(|bias| bias.bias == f64::NEG_INFINITY);
        !bans && self.logprobs.is_none()
    }

    /// Maximum number of tokens that may be generated after a prompt of `prompt_len` tokens, at least 1.
    ///
    /// # Errors
    ///
    /// [`Error::MaxNewTokens`] for a `max_new_tokens` of 0, [`Error::MaxLength`] if the prompt fills `max_length`.
    pub fn limit(&self, prompt_len: usize) -> Result<usize, Error> {
        match self.max_length {
            Some(max_length) if max_length > prompt_len => Ok(max_length - prompt_len),
            Some(max_length) => Err(Error::MaxLength { prompt_len, max_length }),
            None if self.max_new_tokens > 0 => Ok(self.max_new_tokens),
            None => Err(Error::MaxNewTokens { max_new_tokens: 0 }),
        }
    }
}

/// Converts a parameter to the f64 with the same decimal notation. As f32, 0.9 is slightly smaller, and 1 - 0.9 must
/// equal the 0.1 of the reference, which computes parameters in f64.
pub(crate) fn to_f64_decimal(parameter: f32) -> f64 {
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
