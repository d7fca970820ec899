//! Generation parameters: `generation_config.json`.

use std::path::Path;

use crate::{
    CacheImplementation, EarlyStopping, Error, ExponentialDecay, ModelConfig, SequenceBias, TextConfig, Watermarking,
    check::{fraction, in_range, non_negative, positive},
    json::{self, Node},
};

/// New tokens when neither `max_new_tokens` nor `max_length` is set (transformers 5.24.0).
pub const DEFAULT_MAX_NEW_TOKENS: usize = 20;

/// Parameters of text generation, as `generation_config.json` holds them.
///
/// `None` and empty lists mean "not set". What a generation loop uses is
/// `call.or(file).or(GenerationConfig::defaults())`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerationConfig {
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// Token that fills rows of a batch.
    pub pad_token_id: Option<u32>,
    /// Token that starts a text. Chat prompts do not use it: their template writes the first token.
    pub bos_token_id: Option<u32>,

    /// Most tokens to generate; wins over `max_length`.
    pub max_new_tokens: Option<usize>,
    /// Most tokens of prompt and generated text together.
    pub max_length: Option<usize>,
    /// Fewest tokens to generate before an end token is allowed.
    pub min_new_tokens: Option<usize>,
    /// Fewest tokens of prompt and generated text together before an end token is allowed.
    pub min_length: Option<usize>,
    /// Seconds after which generation stops.
    pub max_time: Option<f64>,
    /// Texts that end generation when they appear.
    pub stop_strings: Vec<String>,

    /// Whether to draw from the distribution instead of taking the likeliest token.
    pub do_sample: Option<bool>,
    /// Number of beams; 1 is no beam search.
    pub num_beams: Option<usize>,
    /// When a beam search ends.
    pub early_stopping: Option<EarlyStopping>,
    /// Exponent of the length that a beam's score is divided by.
    pub length_penalty: Option<f64>,
    /// Number of texts per prompt.
    pub num_return_sequences: Option<usize>,

    /// What logits are divided by before sampling.
    pub temperature: Option<f64>,
    /// Number of likeliest tokens to sample from; 0 is all.
    pub top_k: Option<usize>,
    /// Probability that the tokens to sample from have together.
    pub top_p: Option<f64>,
    /// Least probability of a token to sample, as a fraction of the likeliest one's.
    pub min_p: Option<f64>,
    /// Fraction of the entropy that the tokens to sample from have together.
    pub top_h: Option<f64>,
    /// Probability that the most typical tokens have together.
    pub typical_p: Option<f64>,
    /// Least probability of a token to sample.
    pub epsilon_cutoff: Option<f64>,
    /// Least probability of a token to sample, adapted to the entropy.
    pub eta_cutoff: Option<f64>,

    /// Penalty on tokens that occurred: positive logits are divided by it, negative ones multiplied.
    pub repetition_penalty: Option<f64>,
    /// Length of token runs that may not occur twice; 0 is none.
    pub no_repeat_ngram_size: Option<usize>,
    /// Token runs that may not be generated.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// Additions to the last logit of token runs.
    pub sequence_bias: Vec<SequenceBias>,
    /// The only token allowed first.
    pub forced_bos_token_id: Option<u32>,
    /// The only tokens allowed at `max_length`.
    pub forced_eos_token_ids: Vec<u32>,
    /// Whether logits that are not numbers are replaced.
    pub remove_invalid_values: Option<bool>,
    /// Growth of the end token's logit with the length.
    pub exponential_decay_length_penalty: Option<ExponentialDecay>,
    /// Tokens that are never generated.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are not generated first.
    pub begin_suppress_tokens: Vec<u32>,
    /// Whether the processed logits are normalized.
    pub renormalize_logits: Option<bool>,
    /// Weight of classifier-free guidance; 1 is none.
    pub guidance_scale: Option<f64>,
    /// Watermark on the generated tokens.
    pub watermarking: Option<Watermarking>,

    /// Whether keys and values are kept between steps.
    pub use_cache: Option<bool>,
    /// Where and how keys and values are kept.
    pub cache_implementation: Option<CacheImplementation>,
    /// Prompt tokens that are processed at once.
    pub prefill_chunk_size: Option<usize>,
}

impl GenerationConfig {
    /// What transformers 5.24.0 uses for parameters that nobody set. The length is not among them, see
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

    /// The parameters that a text configuration implies.
    pub(crate) fn of_text(use_cache: bool, text: &TextConfig) -> Self {
        GenerationConfig {
            eos_token_ids: text.eos_token_ids.clone(),
            pad_token_id: text.pad_token_id,
            bos_token_id: text.bos_token_id,
            use_cache: Some(use_cache),
            ..GenerationConfig::default()
        }
    }

    /// Reads and checks the text of a `generation_config.json`. Unknown keys are ignored, null means "not set".
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] when the text is not JSON, [`Error::Type`] or [`Error::Unsupported`] with the key path of a
    /// value that cannot be read, and the errors of [`GenerationConfig::validate`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let value = json::parse(text, "generation configuration")?;
        let config = Self::read(&Node::root(&value, "generation configuration")?)?;
        config.validate()?;
        Ok(config)
    }

    /// Reads `generation_config.json` of a checkpoint directory; without that file, what `config.json` said.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::TooLarge`] for the file, and [`Error::InFile`] around those of
    /// [`GenerationConfig::from_json`].
    pub fn from_directory(dir: &Path, model: &ModelConfig) -> Result<Self, Error> {
        let path = dir.join("generation_config.json");
        match json::read_optional(&path)? {
            Some(text) => json::in_file(&path, Self::from_json(&text)),
            None => {
                model.generation.validate()?;
                Ok(model.generation.clone())
            }
        }
    }

    /// These parameters, and those of `fallback` where one is not set.
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

    /// Checks the parameters that are set. Those that only sampling uses are checked when `do_sample` is on, so that
    /// greedy decoding is not refused for a temperature of 0.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] naming the parameter.
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
                format!("greedy decoding has one text per prompt, {texts} were asked for; set do_sample or num_beams"),
            ));
        }
        if beams > 1 && texts > beams {
            return Err(Error::invalid(
                "num_return_sequences",
                format!("{texts} texts cannot come from {beams} beams"),
            ));
        }
        check(self.max_time, "max_time", non_negative)?;
        check(self.repetition_penalty, "repetition_penalty", positive)?;
        for (what, number) in [("length_penalty", self.length_penalty), ("guidance_scale", self.guidance_scale)] {
            check(number, what, finite)?;
        }
        if self.bad_words_ids.iter().any(Vec::is_empty) {
            return Err(Error::invalid("bad_words_ids", "holds an empty run of tokens"));
        }
        for bias in &self.sequence_bias {
            finite("sequence_bias", bias.bias)?;
            if bias.tokens.is_empty() {
                return Err(Error::invalid("sequence_bias", "holds an empty run of tokens"));
            }
        }
        if self.stop_strings.iter().any(String::is_empty) {
            return Err(Error::invalid("stop_strings", "holds an empty text"));
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
