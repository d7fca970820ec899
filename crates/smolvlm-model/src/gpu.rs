//! The GPU decoder of a model, created on first use.

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
