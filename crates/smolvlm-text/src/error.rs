//! The error type of this crate.

use burn::tensor::DType;

/// What can be wrong with the inputs of the text model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cache has no room for the tokens.
    #[error("{tokens} more tokens do not fit: the cache holds {used} of {capacity}; make it larger or truncate it")]
    CacheFull {
        /// Tokens to add to every row.
        tokens: usize,
        /// Tokens a row holds already.
        used: usize,
        /// Tokens a row can hold.
        capacity: usize,
    },
    /// The cache was made for another model.
    #[error(
        "the cache is {cache:?} with {cache_layers} layers, the model {model:?} with {model_layers}; make it for this model"
    )]
    CacheMismatch {
        /// Type of the cache.
        cache: DType,
        /// Layers of the cache.
        cache_layers: usize,
        /// Type that the model keeps keys and values in.
        model: DType,
        /// Layers of the model.
        model_layers: usize,
    },
    /// The embeddings do not fit the cache, or there are none.
    #[error("embeddings are {found:?} ([rows, tokens, hidden]), the cache is made for {rows} rows of width {hidden}")]
    Shape {
        /// Shape of the embeddings.
        found: [usize; 3],
        /// Rows of the cache.
        rows: usize,
        /// Width of the model.
        hidden: usize,
    },
    /// A row that the cache does not have.
    #[error("there is no row {row} in a cache of {rows} rows")]
    Row {
        /// The row asked for.
        row: usize,
        /// Rows of the cache.
        rows: usize,
    },
}
