//! What a generation loop is asked to do.

use crate::Error;
use smolvlm_config::{DEFAULT_MAX_NEW_TOKENS, GenerationConfig};

/// What a generation loop is asked to do. Tokens are chosen greedily: the likeliest one at every step.
///
/// The fields can be set directly or in a chain:
///
/// ```
/// # use smolvlm_generate::SamplingParams;
/// let params = SamplingParams::greedy().max_new_tokens(64).eos_token_ids([2, 49279]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SamplingParams {
    /// Most tokens to generate for one text, its end token included. At least 1.
    pub max_new_tokens: usize,
    /// Tokens that end a text. Without any, a text ends at its length.
    pub eos_token_ids: Vec<u32>,
    /// Whether special tokens (end of text, image markers) are left out of decoded text. They are always among the
    /// token ids.
    pub skip_special_tokens: bool,
}

impl SamplingParams {
    /// Greedy decoding of at most 20 tokens (the reference's default), without end tokens, special tokens skipped.
    pub fn greedy() -> Self {
        Self { max_new_tokens: DEFAULT_MAX_NEW_TOKENS, eos_token_ids: Vec::new(), skip_special_tokens: true }
    }

    /// Greedy decoding with the end tokens and `max_new_tokens` of a checkpoint. Its sampling knobs and its
    /// `max_length` are not used.
    pub fn from_config(config: &GenerationConfig) -> Self {
        Self::greedy()
            .max_new_tokens(config.max_new_tokens.unwrap_or(DEFAULT_MAX_NEW_TOKENS))
            .eos_token_ids(config.eos_token_ids.iter().copied())
    }

    /// Takes the end tokens of a checkpoint if none are set.
    #[must_use]
    pub fn or_eos_of(mut self, config: &GenerationConfig) -> Self {
        if self.eos_token_ids.is_empty() {
            self.eos_token_ids.clone_from(&config.eos_token_ids);
        }
        self
    }

    /// Sets the most tokens to generate.
    #[must_use]
    pub fn max_new_tokens(mut self, count: usize) -> Self {
        self.max_new_tokens = count;
        self
    }

    /// Sets the tokens that end a text.
    #[must_use]
    pub fn eos_token_ids(mut self, ids: impl IntoIterator<Item = u32>) -> Self {
        self.eos_token_ids = ids.into_iter().collect();
        self
    }

    /// Sets whether special tokens are left out of decoded text.
    #[must_use]
    pub fn skip_special_tokens(mut self, skip: bool) -> Self {
        self.skip_special_tokens = skip;
        self
    }

    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// [`Error::MaxNewTokens`] for a length of 0.
    pub fn validate(&self) -> Result<(), Error> {
        match self.max_new_tokens {
            0 => Err(Error::MaxNewTokens { max_new_tokens: 0 }),
            _ => Ok(()),
        }
    }
}

impl Default for SamplingParams {
    /// [`greedy`](Self::greedy).
    fn default() -> Self {
        Self::greedy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smolvlm_config::Preset;

    #[test]
    fn a_checkpoint_gives_its_end_tokens_and_length() {
        let mut config = Preset::Smol256M.generation();
        assert_eq!(config.max_new_tokens, None);
        let params = SamplingParams::from_config(&config);
        assert_eq!(params.eos_token_ids, [49279]);
        assert_eq!(params.max_new_tokens, 20);
        assert!(params.skip_special_tokens);

        config.max_new_tokens = Some(7);
        config.eos_token_ids = vec![2, 49279];
        let params = SamplingParams::from_config(&config);
        assert_eq!(params, SamplingParams::greedy().max_new_tokens(7).eos_token_ids([2, 49279]));
    }

    #[test]
    fn end_tokens_of_the_caller_win() {
        let config = Preset::Smol256M.generation();
        assert_eq!(SamplingParams::greedy().or_eos_of(&config).eos_token_ids, [49279]);
        assert_eq!(SamplingParams::greedy().eos_token_ids([5]).or_eos_of(&config).eos_token_ids, [5]);
    }

    #[test]
    fn a_length_of_zero_is_refused() {
        let error = SamplingParams::greedy().max_new_tokens(0).validate().unwrap_err();
        assert_eq!(error.to_string(), "max_new_tokens is 0; it must be at least 1");
        assert_eq!(SamplingParams::greedy().max_new_tokens(1).validate(), Ok(()));
    }
}
