//! Generation parameters: `generation_config.json`.

use std::path::Path;

use crate::{
    CacheImplementation, EarlyStopping, Error, ExponentialDecay, ModelConfig, SequenceBias, TextConfig, Watermarking,
    check::{fraction, in_range, non_negative, positive},
    json::{self, Node},
    text_file,
};

/// Default number of new tokens if neither `max_new_tokens` nor `max_length` is set (transformers 5.24.0).
pub const DEFAULT_MAX_NEW_TOKENS: usize = 20;

/// Parameters of text generation in `generation_config.json`.
///
/// `None` and empty lists mean "not set". A generation loop uses `call.or(file).or(GenerationConfig::defaults())`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerationConfig {
    /// End tokens.
    pub eos_token_ids: Vec<u32>,
    /// Padding token for the shorter rows of a batch.
    pub pad_token_id: Option<u32>,
    /// Token that starts a text. Not used for chat prompts, whose template writes the first token.
    pub bos_token_id: Option<u32>,

    /// Maximum number of generated tokens; takes precedence over `max_length`.
    pub max_new_tokens: Option<usize>,
    /// Maximum number of prompt and generated tokens together.
    pub max_length: Option<usize>,
    /// Minimum number of generated tokens before an end token is allowed.
    pub min_new_tokens: Option<usize>,
    /// Minimum number of prompt and generated tokens together before an end token is allowed.
    pub min_length: Option<usize>,
    /// Time limit of generation in seconds.
    pub max_time: Option<f64>,
    /// Strings that end generation.
    pub stop_strings: Vec<String>,

    /// Whether to sample instead of taking the most likely token.
    pub do_sample: Option<bool>,
    /// Number of beams; 1 disables beam search.
    pub num_beams: Option<usize>,
    /// Stopping criterion of beam search.
    pub early_stopping: Option<EarlyStopping>,
    /// Exponent of the length by which a beam's score is divided.
    pub length_penalty: Option<f64>,
    /// Number of sequences per prompt.
    pub num_return_sequences: Option<usize>,

    /// Divisor of the logits before sampling.
    pub temperature: Option<f64>,
    /// Number of most likely tokens to sample from; 0 for all.
    pub top_k: Option<usize>,
    /// Cumulative probability of the most likely tokens to sample from.
    pub top_p: Option<f64>,
    /// Minimum probability of a token relative to the most likely one.
    pub min_p: Option<f64>,
    /// Fraction of the entropy covered by the tokens to sample from.
    pub top_h: Option<f64>,
    /// Cumulative probability of the most typical tokens.
    pub typical_p: Option<f64>,
    /// Minimum probability of a token.
    pub epsilon_cutoff: Option<f64>,
    /// Minimum probability of a token, adapted to the entropy.
    pub eta_cutoff: Option<f64>,

    /// Penalty on tokens that occurred: positive logits are divided by it, negative ones multiplied.
    pub repetition_penalty: Option<f64>,
    /// Length of n-grams that may not occur twice; 0 for none.
    pub no_repeat_ngram_size: Option<usize>,
    /// Token sequences that may not be generated.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// Biases added to the logit of the last token of token sequences.
    pub sequence_bias: Vec<SequenceBias>,
    /// The only token allowed at the first position.
    pub forced_bos_token_id: Option<u32>,
    /// The only tokens allowed at `max_length`.
    pub forced_eos_token_ids: Vec<u32>,
    /// Whether NaN and infinite logits are replaced.
    pub remove_invalid_values: Option<bool>,
    /// Exponential increase of the end token's logit with the length.
    pub exponential_decay_length_penalty: Option<ExponentialDecay>,
    /// Tokens that are never generated.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are not generated at the first position.
    pub begin_suppress_tokens: Vec<u32>,
    /// Whether the processed logits are normalized.
    pub renormalize_logits: Option<bool>,
    /// Weight of classifier-free guidance; 1 disables it.
    pub guidance_scale: Option<f64>,
    /// Watermark on the generated tokens.
    pub watermarking: Option<Watermarking>,

    /// Whether the key-value cache is used.
    pub use_cache: Option<bool>,
    /// Kind of the key-value cache.
    pub cache_implementation: Option<CacheImplementation>,
    /// Number of prompt tokens processed at once.
    pub prefill_chunk_size: Option<usize>,
}

impl GenerationConfig {
    /// The defaults of transformers 5.24.0 for parameters that are not set, except for the length, see
    /// [`DEFAULT_MAX_NEW_TOKENS`].
    pub fn defaults() -> Self {
        GenerationConfig {
            min_length: Some(0),
            do_sample: Some(false),
            use_cache: Some(true),
            early_stopping: Some(EarlyStopping::WhenUnlikely),
            num_beams: Some(1),
            temperature: Some(1.0),
            top_k: Some(50),
            top_p: Some(1.0),
            typical_p: Some(1.0),
            repetition_penalty: Some(1.0),
            length_penalty: Some(1.0),
            no_repeat_ngram_size: Some(0),
            num_return_sequences: Some(1),
            remove_invalid_values: Some(false),
            epsilon_cutoff: Some(0.0),
            eta_cutoff: Some(0.0),
            ..GenerationConfig::default()
        }
    }

    /// The parameters implied by a text configuration.
    pub(crate) fn of_text(use_cache: bool, text: &TextConfig) -> Self {
        GenerationConfig {
            eos_token_ids: text.eos_token_ids.clone(),
            pad_token_id: text.pad_token_id,
            bos_token_id: text.bos_token_id,
            use_cache: Some(use_cache),
            ..GenerationConfig::default()
        }
    }

    /// Parses and validates the text of a `generation_config.json`. Unknown keys are ignored, null means "not set".
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] if the text is not JSON, [`Error::Type`] or [`Error::Unsupported`] with the key path of an
    /// invalid value, and the errors of [`GenerationConfig::validate`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let value = json::parse(text, "generation configuration")?;
        let config = Self::read(&Node::root(&value, "generation configuration")?)?;
        config.validate()?;
        Ok(config)
    }

    /// Reads `generation_config.json` of a checkpoint directory; without that file, returns the parameters of
    /// `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::TooLarge`] for the file, and those of [`GenerationConfig::from_json`] wrapped in
    /// [`Error::InFile`].
    pub fn from_directory(dir: &Path, model: &ModelConfig) -> Result<Self, Error> {
        let path = dir.join("generation_config.json");
        match text_file::read_optional(&path)? {
            Some(text) => text_file::in_file(&path, Self::from_json(&text)),
            None => {
                model.generation.validate()?;
                Ok(model.generation.clone())
            }
        }
    }

    /// Fills parameters that are not set with those of `fallback`.
    pub fn or(self, fallback: GenerationConfig) -> Self {
        fn list<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
            if first.is_empty() { second } else { first }
        }
        GenerationConfig {
            eos_token_ids: list(self.eos_token_ids, fallback.eos_token_ids),
            pad_token_id: self.pad_token_id.or(fallback.pad_token_id),
            bos_token_id: self.bos_token_id.or(fallback.bos_token_id),
            max_new_tokens: self.max_new_tokens.or(fallback.max_new_tokens),
            max_length: self.max_length.or(fallback.max_length),
            min_new_tokens: self.min_new_tokens.or(fallback.min_new_tokens),
            min_length: self.min_length.or(fallback.min_length),
            max_time: self.max_time.or(fallback.max_time),
            stop_strings: list(self.stop_strings, fallback.stop_strings),
            do_sample: self.do_sample.or(fallback.do_sample),
            num_beams: self.num_beams.or(fallback.num_beams),
            early_stopping: self.early_stopping.or(fallback.early_stopping),
            length_penalty: self.length_penalty.or(fallback.length_penalty),
            num_return_sequences: self.num_return_sequences.or(fallback.num_return_sequences),
            temperature: self.temperature.or(fallback.temperature),
            top_k: self.top_k.or(fallback.top_k),
            top_p: self.top_p.or(fallback.top_p),
            min_p: self.min_p.or(fallback.min_p),
            top_h: self.top_h.or(fallback.top_h),
            typical_p: self.typical_p.or(fallback.typical_p),
            epsilon_cutoff: self.epsilon_cutoff.or(fallback.epsilon_cutoff),
            eta_cutoff: self.eta_cutoff.or(fallback.eta_cutoff),
            repetition_penalty: self.repetition_penalty.or(fallback.repetition_penalty),
            no_repeat_ngram_size: self.no_repeat_ngram_size.or(fallback.no_repeat_ngram_size),
            bad_words_ids: list(self.bad_words_ids, fallback.bad_words_ids),
            sequence_bias: list(self.sequence_bias, fallback.sequence_bias),
            forced_bos_token_id: self.forced_bos_token_id.or(fallback.forced_bos_token_id),
            forced_eos_token_ids: list(self.forced_eos_token_ids, fallback.forced_eos_token_ids),
            remove_invalid_values: self.remove_invalid_values.or(fallback.remove_invalid_values),
            exponential_decay_length_penalty: self
                .exponential_decay_length_penalty
                .or(fallback.exponential_decay_length_penalty),
            suppress_tokens: list(self.suppress_tokens, fallback.suppress_tokens),
            begin_suppress_tokens: list(self.begin_suppress_tokens, fallback.begin_suppress_tokens),
            renormalize_logits: self.renormalize_logits.or(fallback.renormalize_logits),
            guidance_scale: self.guidance_scale.or(fallback.guidance_scale),
            watermarking: self.watermarking.or(fallback.watermarking),
            use_cache: self.use_cache.or(fallback.use_cache),
            cache_implementation: self.cache_implementation.or(fallback.cache_implementation),
            prefill_chunk_size: self.prefill_chunk_size.or(fallback.prefill_chunk_size),
        }
    }

    /// Validates the parameters that are set. Those used only for sampling are checked only if `do_sample` is set, so
    /// that greedy decoding with a temperature of 0 is accepted.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the parameter.
    pub fn validate(&self) -> Result<(), Error> {
        for (what, count) in [
            ("max_new_tokens", self.max_new_tokens),
            ("num_beams", self.num_beams),
            ("num_return_sequences", self.num_return_sequences),
            ("prefill_chunk_size", self.prefill_chunk_size),
        ] {
            if count == Some(0) {
                return Err(Error::invalid(what, "must be at least 1, is 0"));
            }
        }
        let beams = self.num_beams.unwrap_or(1);
        let texts = self.num_return_sequences.unwrap_or(1);
        let sampled = self.do_sample == Some(true);
        if texts > 1 && beams == 1 && !sampled {
            return Err(Error::invalid(
                "num_return_sequences",
                format!(
                    "greedy decoding gives one sequence per prompt, {texts} were requested; set do_sample or num_beams"
                ),
            ));
        }
        if beams > 1 && texts > beams {
            return Err(Error::invalid("num_return_sequences", format!("{beams} beams cannot give {texts} sequences")));
        }
        check(self.max_time, "max_time", non_negative)?;
        check(self.repetition_penalty, "repetition_penalty", positive)?;
        for (what, number) in [("length_penalty", self.length_penalty), ("guidance_scale", self.guidance_scale)] {
            check(number, what, finite)?;
        }
        if self.bad_words_ids.iter().any(Vec::is_empty) {
            return Err(Error::invalid("bad_words_ids", "contains an empty token sequence"));
        }
        for bias in &self.sequence_bias {
            finite("sequence_bias", bias.bias)?;
            if bias.tokens.is_empty() {
                return Err(Error::invalid("sequence_bias", "contains an empty token sequence"));
            }
        }
        if self.stop_strings.iter().any(String::is_empty) {
            return Err(Error::invalid("stop_strings", "contains an empty string"));
        }
        if let Some(decay) = &self.exponential_decay_length_penalty {
            positive("exponential_decay_length_penalty", decay.factor)?;
        }
        if let Some(watermarking) = &self.watermarking {
            fraction("watermarking_config.greenlist_ratio", watermarking.greenlist_ratio)?;
            finite("watermarking_config.bias", watermarking.bias)?;
            if watermarking.context_width == 0 {
                return Err(Error::invalid("watermarking_config.context_width", "must be at least 1, is 0"));
            }
        }
        if sampled { self.validate_sampling() } else { Ok(()) }
    }

    fn validate_sampling(&self) -> Result<(), Error> {
        let above_zero = |what: &str, value: f64| {
            in_range(what, value, value > 0.0 && value <= 1.0, "must be above 0 and at most 1")
        };
        check(self.temperature, "temperature", positive)?;
        check(self.top_p, "top_p", fraction)?;
        check(self.min_p, "min_p", fraction)?;
        check(self.top_h, "top_h", above_zero)?;
        check(self.typical_p, "typical_p", above_zero)?;
        check(self.epsilon_cutoff, "epsilon_cutoff", fraction)?;
        check(self.eta_cutoff, "eta_cutoff", fraction)
    }
}

fn check(value: Option<f64>, what: &str, rule: impl Fn(&str, f64) -> Result<(), Error>) -> Result<(), Error> {
    value.map_or(Ok(()), |value| rule(what, value))
}

fn finite(what: &str, value: f64) -> Result<(), Error> {
    in_range(what, value, value.is_finite(), "must be finite")
}
