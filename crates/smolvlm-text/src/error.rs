//! The error type of this crate.

use burn::tensor::DType;

/// An error in the inputs of the text model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cache has no capacity for the tokens.
    #[error("no room for {tokens} more tokens: the cache holds {used} of {capacity}; enlarge or truncate it")]
    CacheFull {
        /// Tokens to add to every row.
        tokens: usize,
        /// Tokens that a row holds already.
        used: usize,
        /// Tokens that a row can hold.
        capacity: usize,
    },
    /// The cache was created for a different model.
    #[error(
        "the cache has type {cache:?} and {cache_layers} layers, the model needs {model:?} and {model_layers}; create \
         the cache with this model"
    )]
    CacheMismatch {
        /// Type of the cache.
        cache: DType,
        /// Layers of the cache.
        cache_layers: usize,
        /// Type of keys and values in the model.
        model: DType,
        /// Layers of the model.
        model_layers: usize,
    },
    /// The shape of the embeddings does not fit the cache or the model, or there are no tokens.
    #[error(
        "embeddings have the shape {found:?} ([rows, tokens, hidden]); the cache needs {rows} rows of width {hidden}"
    )]
    Shape {
        /// Shape of the embeddings.
        found: [usize; 3],
        /// Rows of the cache.
        rows: usize,
        /// Width of the model.
        hidden: usize,
    },
    /// A row index is out of range.
    #[error("row {row} is out of range for a cache with {rows} rows")]
    Row {
        /// The requested row.
        row: usize,
        /// Rows of the cache.
        rows: usize,
    },
}
