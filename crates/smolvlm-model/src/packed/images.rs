//! Image features on packed weights, also in parts, so that a scheduler can run other work between layers.

use super::PackedModel;
use crate::Error;
use burn::tensor::Tensor;
use smolvlm_kernels::cpu::Matrix;
use smolvlm_nn::tensor_of;
use smolvlm_vision::{PatchMask, TileEncoding, Workspace};
use std::sync::PoisonError;

impl PackedModel {
    /// Begins to encode tiles, each of the shape `[channels, height, width]`.
    ///
    /// # Errors
    ///
    /// [`Error::Vision`] for tiles or a mask of unsupported shape.
    pub fn begin_encoding(
        &self,
        tiles: &[&[f32]],
        shape: [usize; 3],
        mask: Option<&PatchMask>,
    ) -> Result<TileEncoding, Error> {
        Ok(self.vision.begin(tiles, shape, mask)?)
    }

    /// Runs up to `layers` more layers of the vision encoder. Returns the features when all have run,
    /// `[tiles * tokens per tile, text hidden]`.
    ///
    /// # Errors
    ///
    /// [`Error::Connector`] for unsupported tile sizes.
    pub fn advance_encoding(&self, encoding: &mut TileEncoding, layers: usize) -> Result<Option<Tensor<2>>, Error> {
        let done = self.with_workspace(|workspace| self.vision.advance(encoding, layers, workspace));
        if !done {
            return Ok(None);
        }
        let features = self.connector.forward(&self.vision.finish(encoding), encoding.tiles())?;
        Ok(Some(tensor_of(&features, [features.rows(), features.columns()])))
    }

    /// Encodes tiles at once. See [`Network::image_features`](crate::Network::image_features).
    pub(crate) fn features(
        &self,
        tiles: &[&[f32]],
        shape: [usize; 3],
        mask: Option<&PatchMask>,
        mut stages: Option<&mut Vec<Tensor<3>>>,
    ) -> Result<Tensor<2>, Error> {
        let mut encoding = self.vision.begin(tiles, shape, mask)?;
        let mut keep = |x: &Matrix<f32>| {
            if let Some(stages) = &mut stages {
                stages.push(tensor_of(x, [tiles.len(), x.rows() / tiles.len(), x.columns()]));
            }
        };
        keep(encoding.hidden());
        self.with_workspace(|workspace| {
            while !self.vision.advance(&mut encoding, 1, workspace) {
                keep(encoding.hidden());
            }
        });
        keep(encoding.hidden());
        let last = self.vision.finish(&encoding);
        keep(&last);
        let features = self.connector.forward(&last, tiles.len())?;
        Ok(tensor_of(&features, [features.rows(), features.columns()]))
    }

    /// Runs `work` with the idle workspace, or with a new one while another thread uses it.
    fn with_workspace<T>(&self, work: impl FnOnce(&mut Workspace) -> T) -> T {
        let idle = || self.vision_workspace.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().take();
        let mut workspace = kept.unwrap_or_else(|| self.vision.new_workspace());
        let result = work(&mut workspace);
        *idle() = Some(workspace);
        result
    }
}
