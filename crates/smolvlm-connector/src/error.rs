//! The error type of this crate.

/// What can be wrong with the features given to the connector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The patches of a tile are no square that the scale divides.
    #[error("{patches} patches a tile cannot be shuffled by {scale}: they must be a square whose side {scale} divides")]
    Grid {
        /// Patches of a tile.
        patches: usize,
        /// Pixel-shuffle factor.
        scale: usize,
    },
}
