//! The error type of this crate.

/// What can go wrong while tokens are chosen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No token may be made.
    #[error("max_new_tokens is 0; it must be at least 1")]
    NoNewTokens,
    /// A row of logits has no number in it.
    #[error("none of the {vocabulary} logits is a number: the weights are broken, or the number format overflowed; try f32")]
    NoNumbers {
        /// Length of the row.
        vocabulary: usize,
    },
}
