//! Vision work of the engine: tiles are encoded once for all requests that wait for them.

use super::active_request::ActiveRequest;
use super::stats::EngineStats;
use crate::Error;
use crate::features::Key;
use crate::smolvlm::Loaded;
use burn::tensor::Tensor;
use smolvlm_model::Network;

/// Layers of the vision encoder between decode steps of other requests.
#[cfg(feature = "flex")]
const LAYERS_BETWEEN_STEPS: usize = 2;

/// Hashes and pixels of tiles.
type Tiles<'a> = Vec<(Key, &'a [f32])>;

/// Encodes the missing tiles of requests, one batch at a time.
#[derive(Default)]
pub(super) struct Encoder {
    /// The batch that has begun, with the hashes of its tiles.
    #[cfg(feature = "flex")]
    begun: Option<(Vec<Key>, smolvlm_model::TileEncoding)>,
}

impl Encoder {
    /// Does some vision work if a request needs it. With `alone`, no other request waits, and a batch is encoded at
    /// once. An error is that of the request of the returned index.
    #[cfg_attr(not(feature = "flex"), expect(unused_variables, reason = "tensors are always encoded at once"))]
    pub(super) fn advance(
        &mut self,
        loaded: &Loaded,
        active: &mut [ActiveRequest],
        alone: bool,
        stats: &mut EngineStats,
    ) -> Result<(), (usize, Box<Error>)> {
        provide_cached(loaded, active, stats);
        match &loaded.network {
            #[cfg(feature = "flex")]
            Network::Packed(model) => {
                // The tiles of a cancelled request may no longer be needed.
                let is_missing = |key: &Key| active.iter().any(|request| request.misses(key));
                self.begun.take_if(|(keys, _)| !keys.iter().any(is_missing));
                let (keys, mut encoding) = match self.begun.take() {
                    Some(begun) => begun,
                    None => {
                        let Some((index, tiles)) = next_batch(loaded, active) else { return Ok(()) };
                        let (keys, pixels): (Vec<Key>, Vec<&[f32]>) = tiles.into_iter().unzip();
                        let (channels, edge) = (loaded.config.vision.num_channels, active[index].edge());
                        let encoding = model.begin_encoding(&pixels, [channels, edge, edge], None);
                        (keys, encoding.map_err(|error| (index, Box::new(error.into())))?)
                    }
                };
                let layers = if alone { usize::MAX } else { LAYERS_BETWEEN_STEPS };
                match model.advance_encoding(&mut encoding, layers) {
                    Ok(Some(features)) => provide(loaded, active, &keys, features, stats),
                    Ok(None) => self.begun = Some((keys, encoding)),
                    Err(error) => {
                        let waits = |request: &ActiveRequest| keys.iter().any(|key| request.misses(key));
                        let index = active.iter().position(waits).unwrap_or_default();
                        return Err((index, Box::new(error.into())));
                    }
                }
                Ok(())
            }
            network @ Network::Tensors(_) => {
                let Some((index, tiles)) = next_batch(loaded, active) else { return Ok(()) };
                let (keys, pixels): (Vec<Key>, Vec<&[f32]>) = tiles.into_iter().unzip();
                let images = network.image_features(&pixels, active[index].edge(), loaded.vision_batch, false);
                if let Some(images) = images.map_err(|error| (index, Box::new(error.into())))? {
                    provide(loaded, active, &keys, images.features, stats);
                }
                Ok(())
            }
        }
    }
}

/// Gives requests the features of tiles that were encoded before.
fn provide_cached(loaded: &Loaded, active: &mut [ActiveRequest], stats: &mut EngineStats) {
    for request in active {
        while let Some((key, _)) = request.missing_tile()
            && let Some(features) = loaded.features.get(&key)
        {
            stats.tiles_reused += request.provide(&key, &features);
        }
    }
}

/// The next tiles of the first request that misses some, with its index.
fn next_batch<'a>(loaded: &Loaded, active: &'a [ActiveRequest]) -> Option<(usize, Tiles<'a>)> {
    let index = active.iter().position(|request| request.missing_tile().is_some())?;
    let mut tiles = Tiles::new();
    for (key, pixels) in active[index].missing_tiles() {
        if tiles.len() == loaded.vision_batch {
            break;
        }
        // The next tile without features may be cached: it is provided before the next batch.
        if !tiles.iter().any(|(other, _)| *other == key) {
            tiles.push((key, pixels));
        }
    }
    Some((index, tiles))
}

/// Gives the features of encoded tiles to all requests that wait for them, and to the cache.
fn provide(loaded: &Loaded, active: &mut [ActiveRequest], keys: &[Key], features: Tensor<2>, stats: &mut EngineStats) {
    stats.tiles_encoded += keys.len() as u64;
    for (key, features) in keys.iter().zip(features.chunk(keys.len(), 0)) {
        loaded.features.insert(*key, features.clone());
        let provided: u64 = active.iter_mut().map(|request| request.provide(key, &features)).sum();
        stats.tiles_reused += provided.saturating_sub(1);
    }
}
