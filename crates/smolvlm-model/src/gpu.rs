//! The decoder of a card, made when it is first wanted.

use smolvlm_text::GpuDecoder;
use std::sync::{Arc, OnceLock};

/// Shared by clones of a model, whose weights are the same.
#[derive(Debug, Clone, Default)]
pub struct SharedGpuDecoder(Arc<OnceLock<Option<GpuDecoder>>>);

impl SharedGpuDecoder {
    pub(crate) fn get(&self, make: impl FnOnce() -> Option<GpuDecoder>) -> Option<&GpuDecoder> {
        self.0.get_or_init(make).as_ref()
    }
}
