//! The numbers of requests and their ranges, for validation and for the description of the API.

/// A numeric parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    pub(crate) name: &'static str,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) integer: bool,
}

impl Number {
    const fn float(name: &'static str, min: f64, max: f64) -> Self {
        Self { name, min, max, integer: false }
    }

    const fn integer(name: &'static str, min: f64, max: f64) -> Self {
        Self { name, min, max, integer: true }
    }

    /// The problem of a value outside the range.
    pub(crate) fn check(&self, value: f64) -> Result<(), String> {
        let Self { min, max, integer, .. } = *self;
        if !(min..=max).contains(&value) {
            return Err(format!("is {value}; it must be from {min} to {max}"));
        }
        if integer && value.fract() != 0.0 {
            return Err(format!("is {value}; it must be an integer"));
        }
        Ok(())
    }
}

/// Far more tokens than any context: a larger number is a mistake.
const TOKEN_LIMIT: f64 = 10_000_000.0;

pub(crate) const MAX_COMPLETION_TOKENS: Number = Number::integer("max_completion_tokens", 1.0, TOKEN_LIMIT);
pub(crate) const MAX_TOKENS: Number = Number::integer("max_tokens", 1.0, TOKEN_LIMIT);
pub(crate) const MIN_TOKENS: Number = Number::integer("min_tokens", 0.0, TOKEN_LIMIT);
pub(crate) const CHOICES: Number = Number::integer("n", 1.0, 1024.0);
pub(crate) const TEMPERATURE: Number = Number::float("temperature", 0.0, 100.0);
pub(crate) const TOP_P: Number = Number::float("top_p", 0.0, 1.0);
pub(crate) const TOP_K: Number = Number::integer("top_k", -1.0, 1_000_000.0);
pub(crate) const MIN_P: Number = Number::float("min_p", 0.0, 1.0);
pub(crate) const REPETITION_PENALTY: Number = Number::float("repetition_penalty", 0.01, 100.0);
pub(crate) const FREQUENCY_PENALTY: Number = Number::float("frequency_penalty", -2.0, 2.0);
pub(crate) const PRESENCE_PENALTY: Number = Number::float("presence_penalty", -2.0, 2.0);
pub(crate) const TOP_LOGPROBS: Number = Number::integer("top_logprobs", 0.0, 20.0);

/// Arguments of the image and video processors. The edge is the reference's limit.
pub(crate) const LONGEST_EDGE: Number = Number::integer("longest_edge", 1.0, 4096.0);
pub(crate) const FPS: Number = Number::float("fps", 0.001, 1000.0);
pub(crate) const NUM_FRAMES: Number = Number::integer("num_frames", 1.0, 1024.0);

/// The log-probabilities of text completions.
pub(crate) const LOGPROBS: Number = Number::integer("logprobs", 0.0, 20.0);

/// llama.cpp's name of the limit of text completions.
pub(crate) const N_PREDICT: Number = Number::integer("n_predict", -1.0, TOKEN_LIMIT);

/// Names of Ollama's options.
pub(crate) const NUM_PREDICT: Number = Number::integer("num_predict", -2.0, TOKEN_LIMIT);
pub(crate) const REPEAT_PENALTY: Number = Number::float("repeat_penalty", 0.01, 100.0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_the_range_are_problems() {
        for value in [-0.1, 100.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert!(TEMPERATURE.check(value).is_err(), "{value}");
        }
        for value in [0.0, 0.5, 100.0] {
            assert_eq!(TEMPERATURE.check(value), Ok(()));
        }
        assert_eq!(CHOICES.check(1.5), Err("is 1.5; it must be an integer".to_owned()));
        assert_eq!(CHOICES.check(2.0), Ok(()));
    }
}
