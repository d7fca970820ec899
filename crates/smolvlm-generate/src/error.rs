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
    /// A row of logits that holds no number.
    #[error("all {vocabulary} logits are NaN, so there is no likeliest token; check the weights and the number format")]
    NoNumber {
        /// Length of the row; 0 for an empty one.
        vocabulary: usize,
    },
}
