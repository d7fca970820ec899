//! What a model keeps on a GPU beside its weights: the decoder, and the recorded encoding of a tile.

mod tile;

pub(crate) use tile::SharedTileRecording;

use smolvlm_text::GpuDecoder;
use std::sync::{Arc, OnceLock};

/// A lazily created GPU decoder that clones of a model share, since their weights are the same.
#[derive(Debug, Clone, Default)]
pub struct SharedGpuDecoder(Arc<OnceLock<Option<GpuDecoder>>>);

impl SharedGpuDecoder {
    pub(crate) fn get(&self, make: impl FnOnce() -> Option<GpuDecoder>) -> Option<&GpuDecoder> {
        self.0.get_or_init(make).as_ref()
    }
}
