//! The error type of this crate.

/// Errors of token selection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A `max_new_tokens` of 0.
    #[error("max_new_tokens is {max_new_tokens}; it must be at least 1")]
    MaxNewTokens {
        /// The value.
        max_new_tokens: usize,
    },
    /// A prompt that already fills `max_length`.
    #[error("the prompt has {prompt_len} tokens and max_length is {max_length}; it must be above the prompt's length")]
    MaxLength {
        /// Number of prompt tokens.
        prompt_len: usize,
        /// Maximum number of prompt and generated tokens.
        max_length: usize,
    },
    /// A parameter with an invalid value.
    #[error("{parameter} {problem}")]
    Invalid {
        /// Name of the parameter in `generation_config.json`.
        parameter: &'static str,
        /// The value and the allowed values.
        problem: String,
    },
    /// A parameter of the reference that is not supported.
    #[error("{parameter} {problem}, which is not supported")]
    Unsupported {
        /// Name of the parameter in `generation_config.json`.
        parameter: &'static str,
        /// The value.
        problem: String,
    },
    /// A parameter refers to a token outside the vocabulary.
    #[error("{parameter} contains token {token}, but the model has {vocabulary} tokens")]
    Token {
        /// Name of the parameter in `generation_config.json`.
        parameter: &'static str,
        /// The token.
        token: u32,
        /// Vocabulary size of the model.
        vocabulary: usize,
    },
    /// A constraint that is invalid, not supported or too complex.
    #[error("the constraint {message}")]
    Constraint {
        /// What is wrong, as a predicate.
        message: String,
    },
    /// A constraint that cannot be compiled now, because the compilation takes too long or others do.
    #[error("the constraint {message}")]
    ConstraintBusy {
        /// What is wrong, as a predicate.
        message: &'static str,
    },
    /// All logits of a row are NaN.
    #[error("all {vocabulary} logits are NaN, so no token can be selected; check the weights and the number format")]
    AllNan {
        /// Length of the row; 0 for an empty one.
        vocabulary: usize,
    },
    /// All tokens of a row are masked, so that none can be sampled.
    #[error(
        "all {vocabulary} tokens are masked; constraint, minimum length, forced, suppressed and banned tokens \
         contradict each other"
    )]
    NoToken {
        /// Length of the row.
        vocabulary: usize,
    },
    /// The vocabulary is too small for a beam search.
    #[error(
        "a beam search with these end tokens requires a vocabulary of at least {needed} tokens, the model has {vocabulary}"
    )]
    Vocabulary {
        /// Vocabulary size of the model.
        vocabulary: usize,
        /// Vocabulary size that guarantees a continuation.
        needed: usize,
    },
    /// A wrong number of logits for the beams.
    #[error("{found} logits were passed for {beams} beams of {vocabulary} tokens")]
    BeamLogits {
        /// Number of running beams.
        beams: usize,
        /// Vocabulary size of the model.
        vocabulary: usize,
        /// Number of logits given.
        found: usize,
    },
}

impl Error {
    pub(crate) fn invalid(parameter: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { parameter, problem: problem.into() }
    }

    #[cfg(feature = "constrain")]
    pub(crate) fn constraint(message: impl Into<String>) -> Self {
        Self::Constraint { message: message.into() }
    }

    /// A constraint with a problem that llguidance has found, as one line of limited length.
    #[cfg(feature = "constrain")]
    pub(crate) fn in_constraint(problem: &str, found: &str) -> Self {
        const MAX_CHARS: usize = 500;
        if found.contains("panic: ") {
            return Self::constraint("cannot be compiled; simplify it");
        }
        if found.contains("NoExtensionBias") {
            return Self::constraint("allows no text");
        }
        let found = found.replace("<non-verbose/>", "");
        let found = found
            .replace("Enable 'coerce_one_of' option", "Set \"x-guidance\": {\"coerce_one_of\": true} in the schema");
        let words: Vec<&str> = found.split_whitespace().collect();
        let line: String = words.join(" ").chars().take(MAX_CHARS).collect();
        Self::constraint(format!("{problem}: {line}"))
    }
}
