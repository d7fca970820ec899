//! Counts of the engine's work.

use std::sync::{Arc, Mutex, PoisonError};

/// Counts of the work of a model since it was loaded, for monitoring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Tiles that the vision encoder has encoded.
    pub tiles_encoded: u64,
    /// Tiles whose features, or keys and values, were known from earlier or concurrent requests.
    pub tiles_reused: u64,
    /// Those among them whose features were read from [`Options::feature_cache`](crate::Options::feature_cache).
    pub tiles_read: u64,
    /// Pages of prompts whose keys and values were known from earlier requests.
    pub prefix_pages_hit: u64,
    /// Pages of keys and values in use now, including those that are kept for later requests.
    pub kv_pages: u64,
    /// Steps that generated at least one token.
    pub decode_steps: u64,
    /// Tokens generated in these steps; divided by their number, the mean batch size.
    pub decode_tokens: u64,
    /// Drafted tokens that were verified in these steps.
    pub drafted_tokens: u64,
    /// Those among them that are part of texts.
    pub accepted_drafts: u64,
}

/// The counts that the worker has published.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedStats(Arc<Mutex<EngineStats>>);

impl SharedStats {
    pub(crate) fn get(&self) -> EngineStats {
        // Copied as a whole, so a poisoned lock is safe to use.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, stats: EngineStats) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}
