//! The error type of this crate.

/// An error in the inputs of the encoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tile is smaller than one patch, or has the wrong number of channels.
    #[error(
        "tiles have the shape {found:?} ([tiles, channels, height, width]); they need {channels} channels and at least \
         {patch} pixels per side"
    )]
    TileShape {
        /// Shape of the tiles.
        found: [usize; 4],
        /// Number of channels that the encoder takes.
        channels: usize,
        /// Edge of a patch in pixels.
        patch: usize,
    },
    /// The patch mask does not fit the tiles.
    #[error(
        "the patch mask has the shape {found:?} ([tiles, rows, columns]) and {values} values; the tiles have \
         {expected:?}"
    )]
    MaskShape {
        /// Shape of the mask.
        found: [usize; 3],
        /// Number of values in the mask.
        values: usize,
        /// Expected shape.
        expected: [usize; 3],
    },
}
