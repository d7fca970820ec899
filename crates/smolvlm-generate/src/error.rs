//! The error type of this crate.

/// What can go wrong while tokens are chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A length that leaves no token to generate.
    #[error("max_new_tokens is {max_new_tokens}; it must be at least 1")]
    MaxNewTokens {
        /// What was given.
        max_new_tokens: usize,
    },
    /// A prompt that leaves no token to generate.
    #[error("the prompt has {prompt_len} tokens and max_length is {max_length}; it must be above the prompt's length")]
    MaxLength {
        /// Tokens of the prompt.
        prompt_len: usize,
        /// Most tokens of prompt and answer together.
        max_length: usize,
    },
    /// A parameter with a value that means nothing.
    #[error("{parameter} {problem}")]
    Invalid {
        /// Its name, as `generation_config.json` has it.
        parameter: &'static str,
        /// The value and what is allowed.
        problem: String,
    },
    /// A parameter of the reference that this crate does not have.
    #[error("{parameter} {problem}, which is not supported")]
    Unsupported {
        /// Its name, as `generation_config.json` has it.
        parameter: &'static str,
        /// The value.
        problem: String,
    },
    /// A parameter names a token that the model does not have.
    #[error("{parameter} holds token {token}, but the model has {vocabulary} tokens")]
    Token {
        /// Name of the parameter, as `generation_config.json` has it.
        parameter: &'static str,
        /// The token.
        token: u32,
        /// Number of tokens the model has.
        vocabulary: usize,
    },
    /// A row of logits that holds no number.
    #[error("all {vocabulary} logits are NaN, so there is no likeliest token; check the weights and the number format")]
    NoNumber {
        /// Length of the row; 0 for an empty one.
        vocabulary: usize,
    },
    /// Every token of a row was ruled out, so that none can be drawn.
    #[error("all {vocabulary} tokens are ruled out; forced, suppressed and banned tokens contradict each other")]
    NoToken {
        /// Length of the row.
        vocabulary: usize,
    },
    /// Too few tokens for a beam search.
    #[error("a beam search with these end tokens needs {needed} tokens to choose from, the model has {vocabulary}")]
    Vocabulary {
        /// Tokens the model has.
        vocabulary: usize,
        /// Tokens of which one is always left to go on with.
        needed: usize,
    },
    /// Logits of another size than the beams need.
    #[error("{found} logits were given for {beams} beams of {vocabulary} tokens")]
    BeamLogits {
        /// Running beams.
        beams: usize,
        /// Tokens the model has.
        vocabulary: usize,
        /// Numbers given.
        found: usize,
    },
}

impl Error {
    pub(crate) fn invalid(parameter: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { parameter, problem: problem.into() }
    }
}
