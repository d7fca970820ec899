//! The error type of this crate.

/// An error in the inputs of the connector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The patches of a tile do not form a square whose side is divisible by the scale.
    #[error(
        "{patches} patches per tile do not fit a pixel-shuffle factor of {scale}: they must form a square with a \
         side divisible by {scale}"
    )]
    Grid {
        /// Number of patches per tile.
        patches: usize,
        /// Pixel-shuffle factor.
        scale: usize,
    },
}
