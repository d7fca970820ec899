//! Image features of tiles, computed in micro-batches.

use crate::{Error, Network, SmolVlmModel};
use burn::tensor::{DType, Tensor, TensorData};
use half::{bf16, f16};
use smolvlm_vision::PatchMask;

/// Features of a batch's images, in tile order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImageFeatures {
    /// Features, `[tiles * tokens per tile, text hidden]`.
    pub features: Tensor<2>,
    /// On request: the patch embeddings, then the output of each vision layer, then that of the final norm, each
    /// `[tiles, patches, vision hidden]`.
    pub vision_hidden_states: Vec<Tensor<3>>,
}

/// Tiles in the reference's padded layout.
#[derive(Debug, Clone, Copy)]
pub struct PaddedTiles<'a> {
    /// Samples, maximum number of tiles per sample, channels, height, width.
    pub shape: [usize; 5],
    /// Pixel values of that shape.
    pub pixels: &'a [f32],
    /// 0 for each padding pixel, `[samples, max tiles, height, width]`; none if no tile has padding pixels.
    pub mask: Option<&'a [i64]>,
}

impl Network {
    /// Computes the features of tiles, `micro_batch` of them at a time, which bounds the memory of activations for any
    /// number of tiles. Each slice of `images` holds one image's tiles, `[tiles, channels, edge, edge]`. None if there
    /// are no tiles.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] when an image is not a whole number of tiles, [`Error::Connector`] and [`Error::Vision`] for
    /// unsupported tile sizes.
    pub fn image_features(
        &self,
        images: &[&[f32]],
        edge: usize,
        micro_batch: usize,
        hidden_states: bool,
    ) -> Result<Option<ImageFeatures>, Error> {
        let channels = self.config().vision.num_channels;
        let tile = channels * edge * edge;
        if let Some(image) = images.iter().find(|image| tile == 0 || image.len() % tile != 0) {
            let message = format!("an image of {} values is not a whole number of {edge} x {edge} tiles", image.len());
            return Err(Error::input("images", message));
        }
        let tiles: Vec<&[f32]> = images.iter().flat_map(|image| image.chunks_exact(tile)).collect();
        self.encode(&tiles, [channels, edge, edge], None, micro_batch, hidden_states)
    }

    /// Computes the features of tiles in the reference's padded layout. Tiles that are all zeros after rounding to the
    /// model's type are padding and are dropped at any position; if all tiles are, the first one is kept (transformers
    /// 5.24.0, `get_image_features`).
    ///
    /// # Errors
    ///
    /// Errors of [`image_features`](Self::image_features), and [`Error::Input`] when `pixels` or `mask` have the wrong
    /// size.
    pub fn padded_image_features(
        &self,
        tiles: PaddedTiles<'_>,
        micro_batch: usize,
        hidden_states: bool,
    ) -> Result<Option<ImageFeatures>, Error> {
        let [samples, max_tiles, channels, height, width] = tiles.shape;
        let product = |sizes: &[usize]| sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let (tile, plane) = (product(&tiles.shape[2..]).unwrap_or(0), product(&tiles.shape[3..]).unwrap_or(0));
        let fits = |found: usize, each: usize| each > 0 && Some(found) == product(&[samples, max_tiles, each]);
        if !fits(tiles.pixels.len(), tile) || tiles.mask.is_some_and(|mask| !fits(mask.len(), plane)) {
            let (pixels, mask) = (tiles.pixels.len(), tiles.mask.map(<[i64]>::len));
            let message = format!("{pixels} pixels and mask {mask:?} do not match the shape {:?}", tiles.shape);
            return Err(Error::input("tiles", message));
        }
        let dtype = self.activation_type();
        let is_real = |tile: &[f32]| !tile.iter().all(|&value| rounds_to_zero(value, dtype));
        let mut real: Vec<usize> = tiles
            .pixels
            .chunks_exact(tile)
            .enumerate()
            .filter(|(_, tile)| is_real(tile))
            .map(|(index, _)| index)
            .collect();
        if real.is_empty() && !tiles.pixels.is_empty() {
            real.push(0);
        }
        let chosen: Vec<&[f32]> = real.iter().map(|index| &tiles.pixels[index * tile..][..tile]).collect();
        let mask = tiles.mask.map(|mask| {
            let patch = self.config().vision.patch_size;
            let [rows, columns] = [height / patch, width / patch];
            let picture = |index: &usize| {
                let plane = &mask[index * plane..][..plane];
                let patches = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
                let any = move |(row, column): (usize, usize)| {
                    let lines = plane.chunks_exact(width).skip(row * patch).take(patch);
                    lines.flat_map(|line| &line[column * patch..][..patch]).any(|&bit| bit != 0)
                };
                patches.map(any)
            };
            PatchMask { shape: [real.len(), rows, columns], valid: real.iter().flat_map(picture).collect() }
        });
        self.encode(&chosen, [channels, height, width], mask.as_ref(), micro_batch, hidden_states)
    }

    fn encode(
        &self,
        tiles: &[&[f32]],
        shape: [usize; 3],
        mask: Option<&PatchMask>,
        micro_batch: usize,
        hidden_states: bool,
    ) -> Result<Option<ImageFeatures>, Error> {
        let mut features = Vec::new();
        let mut states: Vec<Vec<Tensor<3>>> = Vec::new();
        let step = micro_batch.max(1);
        for (index, chunk) in tiles.chunks(step).enumerate() {
            let mask = mask.map(|mask| mask_range(mask, index * step, chunk.len()));
            let mut outputs = Vec::new();
            features.push(self.encode_batch(chunk, shape, mask.as_ref(), hidden_states.then_some(&mut outputs))?);
            states.resize(outputs.len(), Vec::new());
            states.iter_mut().zip(outputs).for_each(|(kept, state)| kept.push(state));
        }
        if features.is_empty() {
            return Ok(None);
        }
        Ok(Some(ImageFeatures {
            features: Tensor::cat(features, 0),
            vision_hidden_states: states.into_iter().map(|parts| Tensor::cat(parts, 0)).collect(),
        }))
    }

    /// Encodes tiles together, `[tiles * tokens per tile, hidden]`. Pushes the outputs of the vision encoder's stages
    /// to `stages`, each `[tiles, patches, vision hidden]`.
    fn encode_batch(
        &self,
        tiles: &[&[f32]],
        shape: [usize; 3],
        mask: Option<&PatchMask>,
        stages: Option<&mut Vec<Tensor<3>>>,
    ) -> Result<Tensor<2>, Error> {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(model) => model.features(tiles, shape, mask, stages),
            Self::Tensors(model) => model.features(tiles, shape, mask, stages),
        }
    }

    /// Type of the activations between layers, and of image features.
    pub fn activation_type(&self) -> DType {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(_) => DType::F32,
            Self::Tensors(model) => model.text.norm.weight.val().dtype(),
        }
    }
}

impl SmolVlmModel {
    /// Encodes tiles, each `[channels, height, width]`: vision encoder and connector. See [`Network::image_features`].
    fn features(
        &self,
        tiles: &[&[f32]],
        [channels, height, width]: [usize; 3],
        mask: Option<&PatchMask>,
        stages: Option<&mut Vec<Tensor<3>>>,
    ) -> Result<Tensor<2>, Error> {
        let weight = self.text.norm.weight.val();
        let (device, dtype) = (weight.device(), weight.dtype());
        let data = TensorData::new(tiles.concat(), [tiles.len(), channels, height, width]);
        let pixels = Tensor::<4>::from_data(data, (&device, DType::F32)).cast(dtype);
        #[cfg(feature = "cubecl")]
        if tiles.len() == 1 && mask.is_none() && stages.is_none() {
            let x = self.vision.embeddings.forward(pixels, None)?;
            return Ok(self.gpu_tile.encode(self, x)?.flatten::<2>(0, 1));
        }
        let seen = self.vision.forward(pixels, mask, stages.is_some())?;
        if let Some(stages) = stages {
            stages.extend(seen.hidden_states);
            stages.push(seen.last_hidden_state.clone());
        }
        Ok(self.connector.forward(seen.last_hidden_state)?.flatten::<2>(0, 1))
    }
}

fn rounds_to_zero(value: f32, dtype: DType) -> bool {
    match dtype {
        DType::BF16 => bf16::from_f32(value) == bf16::ZERO,
        DType::F16 => f16::from_f32(value) == f16::ZERO,
        _ => value == 0.0,
    }
}

/// The masks of `count` tiles, starting at tile `start`.
fn mask_range(mask: &PatchMask, start: usize, count: usize) -> PatchMask {
    let [_, rows, columns] = mask.shape;
    let patches = rows * columns;
    PatchMask { shape: [count, rows, columns], valid: mask.valid[start * patches..][..count * patches].to_vec() }
}
