//! What is wanted of a generated text.

use crate::Error;
use smolvlm_config::{DEFAULT_MAX_NEW_TOKENS, GenerationConfig};

/// What is wanted of a generated text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SamplingParams {
    /// Most tokens to make. 20 by default, as in the reference.
    pub max_new_tokens: usize,
    /// Tokens that end a text; the one that does is part of it.
    pub eos_token_ids: Vec<u32>,
    /// Whether special tokens are left out of the text. They are by default.
    pub skip_special_tokens: bool,
}

impl SamplingParams {
    /// The likeliest token each time.
    pub fn greedy() -> Self {
        Self { max_new_tokens: DEFAULT_MAX_NEW_TOKENS, eos_token_ids: Vec::new(), skip_special_tokens: true }
    }

    /// Greedy choice with the end tokens and the length of a checkpoint's `generation_config.json`.
    pub fn from_config(config: &GenerationConfig) -> Self {
        Self {
            max_new_tokens: config.max_new_tokens.unwrap_or(DEFAULT_MAX_NEW_TOKENS),
            eos_token_ids: config.eos_token_ids.clone(),
            ..Self::greedy()
        }
    }

    /// Sets the most tokens to make.
    #[must_use]
    pub fn max_new_tokens(mut self, tokens: usize) -> Self {
        self.max_new_tokens = tokens;
        self
    }

    /// Sets the tokens that end a text.
    #[must_use]
    pub fn eos_token_ids(mut self, ids: impl Into<Vec<u32>>) -> Self {
        self.eos_token_ids = ids.into();
        self
    }

    /// Sets whether special tokens are left out of the text.
    #[must_use]
    pub fn skip_special_tokens(mut self, skip: bool) -> Self {
        self.skip_special_tokens = skip;
        self
    }

    /// Checks the values against each other and against their ranges.
    ///
    /// # Errors
    ///
    /// [`Error::NoNewTokens`] when no token may be made.
    pub fn validate(&self) -> Result<(), Error> {
        if self.max_new_tokens == 0 { Err(Error::NoNewTokens) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::SamplingParams;
    use crate::Error;
    use smolvlm_config::GenerationConfig;

    #[test]
    fn a_checkpoint_sets_end_tokens_and_length() {
        let config = GenerationConfig::from_json(r#"{"eos_token_id": [49279, 2], "max_new_tokens": 7}"#).unwrap();
        let params = SamplingParams::from_config(&config);
        assert_eq!((params.max_new_tokens, &params.eos_token_ids[..]), (7, &[49279, 2][..]));
        assert_eq!(SamplingParams::from_config(&GenerationConfig::default()), SamplingParams::greedy());
    }

    #[test]
    fn at_least_one_token() {
        assert_eq!(SamplingParams::greedy().max_new_tokens(0).validate(), Err(Error::NoNewTokens));
        assert_eq!(SamplingParams::greedy().max_new_tokens(1).validate(), Ok(()));
    }
}
