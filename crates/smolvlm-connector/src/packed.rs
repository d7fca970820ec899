//! The connector on packed weights.

use crate::Error;
use crate::connector::block_side;
use smolvlm_config::ModelConfig;
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::{Epilogue, Matrix, PackedLhs, Pool, matmuls};
use smolvlm_nn::{PackedLinear, PackedSource};

/// The connector on packed weights.
#[derive(Debug)]
pub struct PackedConnector {
    proj: PackedLinear,
    scale: usize,
}

impl PackedConnector {
    /// Loads the connector at the path `connector`.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub fn load<S: PackedSource>(config: &ModelConfig, source: &S, format: PackedFormat) -> Result<Self, S::Error> {
        let scale = config.scale_factor;
        let shape = [config.text.hidden_size, config.vision.hidden_size * scale * scale];
        Ok(Self { proj: PackedLinear::load(source, "connector.proj", shape, false, format)?, scale })
    }

    /// Converts patch features to text features. The patches of each block are gathered directly into the left-hand
    /// side of the product.
    ///
    /// # Shapes
    ///
    /// `[tiles * patches, vision hidden]` to `[tiles * patches / scale^2, text hidden]`.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] when the patches do not form a square whose side is divisible by the scale.
    pub fn forward(&self, x: &Matrix<f32>, tiles: usize) -> Result<Matrix<f32>, Error> {
        let (patches, width, scale) = (x.rows() / tiles.max(1), x.columns(), self.scale);
        let side = block_side(patches, scale)?;
        let blocks = side * side;
        let (pool, mut rows, mut out) = (Pool::current(), PackedLhs::new(self.proj.format()), Matrix::new());
        rows.fill(&pool, tiles * blocks, scale * scale * width, |index, out| {
            let (tile, row, column) = (index / blocks, index % blocks / side, index % side);
            for (line, out) in out.chunks_exact_mut(scale * width).enumerate() {
                let first = tile * patches + (row * scale + line) * side * scale + column * scale;
                for (patch, out) in out.chunks_exact_mut(width).enumerate() {
                    out.copy_from_slice(x.row(first + patch));
                }
            }
        });
        out.resize(tiles * blocks, self.proj.outputs());
        matmuls(&pool, &rows, [self.proj.to(Epilogue::store(&mut out))]);
        Ok(out)
    }
}
