//! The decoder of a card, made when it is first wanted.

use smolvlm_text::CardDecoder;
use std::sync::{Arc, OnceLock};

/// Shared by clones of a model, whose weights are the same.
#[derive(Debug, Clone, Default)]
pub struct Card(Arc<OnceLock<Option<CardDecoder>>>);

impl Card {
    pub(crate) fn get(&self, make: impl FnOnce() -> Option<CardDecoder>) -> Option<&CardDecoder> {
        self.0.get_or_init(make).as_ref()
    }
}
