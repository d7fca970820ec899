//! The error type of this crate.

/// What can be wrong with the tiles given to the encoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tile is smaller than one patch, or has the wrong channels.
    #[error(
        "tiles are {found:?} ([tiles, channels, height, width]); each needs {channels} channels and {patch} pixels or more a side"
    )]
    TileShape {
        /// Shape of the tiles.
        found: [usize; 4],
        /// Channels the encoder takes.
        channels: usize,
        /// Edge of a patch in pixels.
        patch: usize,
    },
    /// The patch mask does not fit the tiles.
    #[error("the patch mask is {found:?} ([tiles, rows, columns]), the tiles have {expected:?}")]
    MaskShape {
        /// Shape of the mask.
        found: [usize; 3],
        /// Shape that fits.
        expected: [usize; 3],
    },
}
