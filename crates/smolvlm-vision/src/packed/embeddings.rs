//! Patch and position embeddings on packed weights.

use crate::position::{PatchMask, position_ids};
use crate::tiles::TileShape;
use smolvlm_config::VisionConfig;
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::{Epilogue, Matrix, PackedLhs, Pool, matmuls};
use smolvlm_nn::{PackedLinear, PackedSource};

#[derive(Debug)]
pub(super) struct PackedEmbeddings {
    patch_embedding: PackedLinear,
    /// One row per position of the grid that the encoder was trained with, `[grid * grid, hidden]`.
    positions: Vec<f32>,
    pub(super) shape: TileShape,
    grid: usize,
}

impl PackedEmbeddings {
    pub(super) fn load<S: PackedSource>(
        config: &VisionConfig,
        source: &S,
        format: PackedFormat,
    ) -> Result<Self, S::Error> {
        const PATH: &str = "vision.embeddings.patch_embedding";
        let (hidden, patch, channels) = (config.hidden_size, config.patch_size, config.num_channels);
        let weight = source.matrix(&format!("{PATH}.weight"), &[hidden, channels, patch, patch], format)?;
        let grid = config.grid();
        Ok(Self {
            patch_embedding: PackedLinear::with_bias(source, PATH, weight, true)?,
            positions: source.values("vision.embeddings.position_embedding.weight", &[grid * grid, hidden])?,
            shape: TileShape { channels, patch },
            grid,
        })
    }

    /// Embeds the patches of tiles, each `[channels, height, width]`, in row-major order: one row per patch. `grid` is
    /// the number of tiles and of rows and columns of patches.
    pub(super) fn embed(
        &self,
        pool: &Pool,
        tiles: &[&[f32]],
        [height, width]: [usize; 2],
        grid: [usize; 3],
        mask: Option<&PatchMask>,
    ) -> Matrix<f32> {
        let TileShape { channels, patch } = self.shape;
        let [count, rows, columns] = grid;
        let mut patches = PackedLhs::new(self.patch_embedding.format());
        patches.fill(pool, count * rows * columns, channels * patch * patch, |index, out| {
            let (tile, row, column) = (index / (rows * columns), index / columns % rows, index % columns);
            for (line, out) in out.chunks_exact_mut(patch).enumerate() {
                let (channel, line) = (line / patch, line % patch);
                let start = (channel * height + row * patch + line) * width + column * patch;
                out.copy_from_slice(&tiles[tile][start..start + patch]);
            }
        });
        // The output starts as the position embeddings, to which the product is added.
        let hidden = self.patch_embedding.outputs();
        let ids = match mask {
            None if rows == self.grid && columns == self.grid => None,
            None => Some(position_ids(&PatchMask::full(grid), self.grid)),
            Some(mask) => Some(position_ids(mask, self.grid)),
        };
        let mut x = Matrix::new();
        x.fill(pool, count * rows * columns, hidden, |index, out| {
            let id = ids.as_ref().map_or(index % (rows * columns), |ids| ids[index] as usize);
            out.copy_from_slice(&self.positions[id * hidden..][..hidden]);
        });
        matmuls(pool, &patches, [self.patch_embedding.to(Epilogue::add_to(&mut x))]);
        x
    }
}
