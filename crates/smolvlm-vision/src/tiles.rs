//! The shape of tiles that the encoder takes.

use crate::{Error, PatchMask};

/// The tiles that an encoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TileShape {
    /// Number of channels.
    pub(crate) channels: usize,
    /// Edge of a patch in pixels.
    pub(crate) patch: usize,
}

impl TileShape {
    /// Checks the shapes of tiles, `[tiles, channels, height, width]`, and of their mask. Returns the number of tiles
    /// and of rows and columns of patches.
    pub(crate) fn checked_grid(self, found: [usize; 4], mask: Option<&PatchMask>) -> Result<[usize; 3], Error> {
        let Self { channels, patch } = self;
        let [tiles, tile_channels, height, width] = found;
        if tiles == 0 || tile_channels != channels || height < patch || width < patch {
            return Err(Error::TileShape { found, channels, patch });
        }
        let shape = [tiles, height / patch, width / patch];
        let patches: usize = shape.iter().product();
        match mask.filter(|mask| mask.shape != shape || mask.valid.len() != patches) {
            Some(mask) => Err(Error::MaskShape { found: mask.shape, values: mask.valid.len(), expected: shape }),
            None => Ok(shape),
        }
    }
}
