//! Patch and position embeddings.

use crate::Error;
use crate::position::{PatchMask, position_ids};
use crate::tiles::TileShape;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor, TensorData};
use smolvlm_config::VisionConfig;
use smolvlm_nn::{Embedding, linear};

/// The patch convolution, computed as a matrix product over unfolded patches.
#[derive(Module, Debug)]
pub struct PatchEmbedding {
    /// Weight, `[hidden, channels, patch, patch]`.
    pub weight: Param<Tensor<4>>,
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
                weight: Initializer::Normal { mean: 0.0, std }
                    .init([hidden, config.num_channels, patch, patch], device),
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
        let PatchEmbedding { channels, patch, .. } = self.patch_embedding;
        let shape = TileShape { channels, patch }.checked_grid(tiles.dims(), mask)?;
        let patches = self.patches(tiles, shape);
        let native = shape[1] == self.grid && shape[2] == self.grid;
        Ok(match mask.filter(|mask| !mask.is_full()) {
            // Full tiles of the native size use the position table in order.
            None if native => patches + self.position_embedding.weight.val().unsqueeze(),
            None => patches + self.positions(&PatchMask::full(shape)),
            Some(mask) => patches + self.positions(mask),
        })
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
        let filters = self.patch_embedding.weight.val().flatten(1, 3);
        let product = linear(unfolded, filters, Some(self.patch_embedding.bias.val()));
        product.reshape([count, rows * columns, hidden])
    }

    fn positions(&self, mask: &PatchMask) -> Tensor<3> {
        let [tiles, rows, columns] = mask.shape;
        let ids = TensorData::new(position_ids(mask, self.grid), [tiles, rows * columns]);
        let ids = Tensor::<2, Int>::from_data(ids, &self.position_embedding.weight.val().device());
        self.position_embedding.forward(ids)
    }
}
