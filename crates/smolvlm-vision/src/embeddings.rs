//! Patch and position embeddings.

use crate::position::{PatchMask, position_ids};
use crate::{Error, VisionEncoder};
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor, TensorData};
use smolvlm_config::VisionConfig;
use smolvlm_nn::{Embedding, Weight};

/// The patch convolution, computed as a matrix product over unfolded patches.
#[derive(Module, Debug)]
pub struct PatchEmbedding {
    /// Weight, `[hidden, channels, patch, patch]`.
    pub weight: Weight<4>,
    /// Bias, `[hidden]`.
    pub bias: Param<Tensor<1>>,
    /// Number of channels of a tile.
    pub channels: usize,
    /// Edge of a patch in pixels.
    pub patch: usize,
}

/// Patch and position embeddings.
#[derive(Module, Debug)]
pub struct VisionEmbeddings {
    /// Patch embedding.
    pub patch_embedding: PatchEmbedding,
    /// Position embeddings, one row per position of the grid that the encoder was trained with, `[grid * grid,
    /// hidden]`.
    pub position_embedding: Embedding,
    /// Number of positions along one side of that grid.
    pub grid: usize,
}

impl VisionEmbeddings {
    /// Randomly initialized embeddings; parameters are allocated on first use.
    pub fn init(config: &VisionConfig, device: &Device) -> Self {
        let (hidden, patch, std) = (config.hidden_size, config.patch_size, config.initializer_range);
        Self {
            patch_embedding: PatchEmbedding {
                weight: Weight::Tensor(
                    Initializer::Normal { mean: 0.0, std }.init([hidden, config.num_channels, patch, patch], device),
                ),
                bias: Initializer::Zeros.init([hidden], device),
                channels: config.num_channels,
                patch,
            },
            position_embedding: Embedding::init(config.grid() * config.grid(), hidden, std, device),
            grid: config.grid(),
        }
    }

    /// Embeds the patches of each tile in row-major order. Pixels beyond the last complete patch are ignored.
    ///
    /// # Shapes
    ///
    /// `[T, channels, H, W]` to `[T, (H / patch) * (W / patch), hidden]`.
    ///
    /// # Errors
    ///
    /// [`Error::TileShape`], [`Error::MaskShape`].
    pub fn forward(&self, tiles: Tensor<4>, mask: Option<&PatchMask>) -> Result<Tensor<3>, Error> {
        let shape = self.checked_grid(tiles.dims(), mask)?;
        let patches = self.patches(tiles, shape);
        let native = shape[1] == self.grid && shape[2] == self.grid;
        Ok(match mask.filter(|mask| !mask.is_full()) {
            // Full tiles of the native size use the position table in order.
            None if native => patches + self.position_embedding.weight.val().unsqueeze(),
            None => patches + self.positions(&PatchMask::full(shape)),
            Some(mask) => patches + self.positions(mask),
        })
    }

    /// Checks the shapes of tiles and mask, and returns `[tiles, rows, columns]` of patches.
    pub(crate) fn checked_grid(&self, found: [usize; 4], mask: Option<&PatchMask>) -> Result<[usize; 3], Error> {
        let shape = self.patch_grid(found)?;
        let patches: usize = shape.iter().product();
        match mask.filter(|mask| mask.shape != shape || mask.valid.len() != patches) {
            Some(mask) => Err(Error::MaskShape { found: mask.shape, values: mask.valid.len(), expected: shape }),
            None => Ok(shape),
        }
    }

    fn patch_grid(&self, found: [usize; 4]) -> Result<[usize; 3], Error> {
        let PatchEmbedding { channels, patch, .. } = self.patch_embedding;
        let [tiles, tile_channels, height, width] = found;
        if tiles == 0 || tile_channels != channels || height < patch || width < patch {
            return Err(Error::TileShape { found, channels, patch });
        }
        Ok([tiles, height / patch, width / patch])
    }

    fn patches(&self, tiles: Tensor<4>, [count, rows, columns]: [usize; 3]) -> Tensor<3> {
        let PatchEmbedding { channels, patch, .. } = self.patch_embedding;
        let hidden = self.patch_embedding.bias.dims()[0];
        let values = channels * patch * patch;
        let unfolded = tiles
            .slice([0..count, 0..channels, 0..rows * patch, 0..columns * patch])
            .reshape([count, channels, rows, patch, columns, patch])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([count * rows * columns, values]);
        let product = self.patch_embedding.weight.forward(unfolded, self.patch_embedding.bias.val());
        product.reshape([count, rows * columns, hidden])
    }

    fn positions(&self, mask: &PatchMask) -> Tensor<3> {
        let [tiles, rows, columns] = mask.shape;
        let ids = TensorData::new(position_ids(mask, self.grid), [tiles, rows * columns]);
        let ids = Tensor::<2, Int>::from_data(ids, &self.position_embedding.weight.val().device());
        self.position_embedding.forward(ids)
    }
}

impl VisionEncoder {
    /// Rows and columns of patches in tiles of this height and width in pixels.
    pub fn patch_grid(&self, height: usize, width: usize) -> [usize; 2] {
        let patch = self.embeddings.patch_embedding.patch;
        [height / patch, width / patch]
    }
}
