//! Pixel shuffle and projection.

use crate::Error;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use smolvlm_config::ModelConfig;
use smolvlm_nn::Linear;

/// Pixel shuffle of neighboring patches and projection to the width of the text model.
#[derive(Module, Debug)]
pub struct Connector {
    /// Projection, `[text hidden, vision hidden * scale^2]`, without bias.
    pub proj: Linear,
    /// Pixel-shuffle factor: number of patches along each side of a block that becomes one feature.
    pub scale: usize,
}

impl Connector {
    /// A randomly initialized connector; parameters are allocated on first use.
    pub fn init(config: &ModelConfig, device: &Device) -> Self {
        let (scale, range) = (config.scale_factor, config.text.initializer_range);
        let input = config.vision.hidden_size * scale * scale;
        Self { proj: Linear::init(input, config.text.hidden_size, false, range, device), scale }
    }

    /// Converts patch features to text features.
    ///
    /// # Shapes
    ///
    /// `[T, patches, vision hidden]` to `[T, patches / scale^2, text hidden]`.
    ///
    /// # Errors
    ///
    /// [`Error::Grid`] when the patches do not form a square whose side is divisible by the scale.
    pub fn forward(&self, x: Tensor<3>) -> Result<Tensor<3>, Error> {
        Ok(self.proj.forward(pixel_shuffle(x, self.scale)?))
    }
}

/// Number of blocks along each side of a tile.
pub(crate) fn block_side(patches: usize, scale: usize) -> Result<usize, Error> {
    let side = patches.isqrt();
    if scale == 0 || side * side != patches || !side.is_multiple_of(scale) {
        return Err(Error::Grid { patches, scale });
    }
    Ok(side / scale)
}

/// Concatenates the features of each `scale` x `scale` block of patches in row-major order
/// (transformers 5.24.0, `SmolVLMConnector.pixel_shuffle`).
///
/// # Shapes
///
/// `[T, side * side, width]` to `[T, (side / scale)^2, width * scale^2]`.
///
/// # Errors
///
/// [`Error::Grid`] when the patches do not form a square whose side is divisible by the scale.
pub fn pixel_shuffle(x: Tensor<3>, scale: usize) -> Result<Tensor<3>, Error> {
    let [tiles, patches, width] = x.dims();
    let blocks = block_side(patches, scale)?;
    Ok(x.reshape([tiles, blocks, scale, blocks, scale, width]).permute([0, 1, 3, 2, 4, 5]).reshape([
        tiles,
        blocks * blocks,
        scale * scale * width,
    ]))
}

#[cfg(test)]
mod tests {
    use super::pixel_shuffle;
    use crate::Error;
    use burn::tensor::{Device, Tensor, TensorData};

    fn shuffled(values: Vec<f32>, patches: usize, width: usize, scale: usize) -> Result<Vec<f32>, Error> {
        let x = Tensor::<3>::from_data(TensorData::new(values, [1, patches, width]), &Device::flex());
        Ok(pixel_shuffle(x, scale)?.into_data().try_to_vec().unwrap())
    }

    #[test]
    fn blocks_of_2_x_2() {
        let found = shuffled((0..16).map(|i| i as f32).collect(), 16, 1, 2).unwrap();
        assert_eq!(found, [0., 1., 4., 5., 2., 3., 6., 7., 8., 9., 12., 13., 10., 11., 14., 15.]);
    }

    #[test]
    fn blocks_of_3_x_3() {
        let values = (0..36).flat_map(|i| [10 * i, 10 * i + 1]).map(|v| v as f32).collect();
        let found = shuffled(values, 36, 2, 3).unwrap();
        let first = [0, 1, 10, 11, 20, 21, 60, 61, 70, 71, 80, 81, 120, 121, 130, 131, 140, 141];
        assert_eq!(found[..18], first.map(|v| v as f32));
        assert_eq!((found[18], found[36]), (30.0, 180.0));
    }

    #[test]
    fn indivisible_grids_are_errors() {
        for (patches, scale) in [(32, 2), (25, 2), (16, 0), (16, 3)] {
            let error = shuffled(vec![0.0; patches], patches, 1, scale).unwrap_err();
            assert!(error.to_string().contains(&patches.to_string()), "{error}");
        }
    }
}
