//! Image features, with a cache so that each tile is encoded once.

use crate::smolvlm::Loaded;
use crate::{Error, SmolVlm};
use burn::tensor::Tensor;
use sha2::{Digest, Sha256};
use smolvlm_processor::{Batch, Media};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// SHA-256 of a tile's pixels.
pub(crate) type Key = [u8; 32];

/// The features of one image or video.
#[derive(Debug, Clone)]
pub(crate) struct MediaFeatures {
    /// Hashes of the tiles.
    pub(crate) keys: Vec<Key>,
    /// `[tiles * tokens per tile, hidden]`.
    pub(crate) features: Tensor<2>,
}

/// LRU cache of tile features, keyed by the hash of the tile's pixels: an image that is asked about again and identical
/// video frames are encoded once.
#[derive(Debug)]
pub(crate) struct FeatureCache {
    max_bytes: usize,
    tiles: Mutex<Tiles>,
}

#[derive(Debug, Default)]
struct Tiles {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    /// Number of accesses so far, from which the least recently used entry is found.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    features: Tensor<2>,
    bytes: usize,
    used: u64,
}

impl FeatureCache {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, tiles: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Tensor<2>> {
        // A poisoned lock is safe to use: no entry is ever partially written.
        let mut tiles = self.tiles.lock().unwrap_or_else(PoisonError::into_inner);
        tiles.clock += 1;
        let used = tiles.clock;
        let entry = tiles.entries.get_mut(key)?;
        entry.used = used;
        Some(entry.features.clone())
    }

    pub(crate) fn insert(&self, key: Key, features: Tensor<2>) {
        let bytes = features.shape().num_elements() * features.dtype().size();
        if bytes > self.max_bytes {
            return;
        }
        let mut tiles = self.tiles.lock().unwrap_or_else(PoisonError::into_inner);
        tiles.clock += 1;
        let entry = Entry { features, bytes, used: tiles.clock };
        let replaced = tiles.entries.insert(key, entry).map_or(0, |old| old.bytes);
        tiles.bytes = tiles.bytes + bytes - replaced;
        while tiles.bytes > self.max_bytes {
            let oldest = tiles.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(&key, _)| key);
            let Some(removed) = oldest.and_then(|key| tiles.entries.remove(&key)) else { break };
            tiles.bytes -= removed.bytes;
        }
    }
}

impl SmolVlm {
    /// The features of all images and videos of a batch, in prompt order; none without any. Tiles that are cached are
    /// not encoded again.
    pub(crate) fn batch_features(&self, batch: &Batch) -> Result<Option<Tensor<2>>, Error> {
        let loaded = &*self.loaded;
        let (mut keys, mut fresh) = (Vec::new(), Vec::<(Key, &[f32])>::new());
        let mut encoded: HashMap<Key, Tensor<2>> = HashMap::new();
        for media in batch.all_media() {
            let own = tile_keys(loaded, media, batch.edge).ok_or_else(missing_features)?;
            let tiles = media.pixels().chunks_exact(tile_len(loaded, batch.edge));
            for (key, pixels) in own.iter().zip(tiles) {
                if encoded.contains_key(key) || fresh.iter().any(|(other, _)| other == key) {
                    continue;
                }
                match loaded.features.get(key) {
                    Some(features) => drop(encoded.insert(*key, features)),
                    None => fresh.push((*key, pixels)),
                }
            }
            keys.extend(own);
        }
        for group in fresh.chunks(loaded.vision_batch) {
            let pixels: Vec<&[f32]> = group.iter().map(|(_, pixels)| *pixels).collect();
            let images = loaded.network.image_features(&pixels, batch.edge, loaded.vision_batch, false)?;
            let Some(images) = images else { continue };
            for ((key, _), features) in group.iter().zip(images.features.chunk(group.len(), 0)) {
                loaded.features.insert(*key, features.clone());
                encoded.insert(*key, features);
            }
        }
        let tiles: Vec<Tensor<2>> = keys.iter().filter_map(|key| encoded.get(key).cloned()).collect();
        Ok((!tiles.is_empty()).then(|| Tensor::cat(tiles, 0)))
    }
}

fn tile_len(loaded: &Loaded, edge: usize) -> usize {
    (loaded.config.vision.num_channels * edge * edge).max(1)
}

/// The hashes of the tiles of an image or video; none if it has no pixels because it was processed before.
pub(crate) fn tile_keys(loaded: &Loaded, media: &Media, edge: usize) -> Option<Vec<Key>> {
    media.edge()?;
    let key = |pixels: &[f32]| {
        let mut hash = Sha256::new();
        let mut bytes = [0; 4096];
        for values in pixels.chunks(bytes.len() / 4) {
            for (bytes, value) in bytes.chunks_exact_mut(4).zip(values) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
            hash.update(&bytes[..values.len() * 4]);
        }
        hash.finalize().into()
    };
    Some(media.pixels().chunks_exact(tile_len(loaded, edge)).map(key).collect())
}

/// The error for a previously processed image or video whose features are missing.
pub(crate) fn missing_features() -> Error {
    Error::Model(smolvlm_model::Error::Input {
        what: "features",
        message: "the features of a previously processed image or video are missing".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::FeatureCache;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn least_recently_used_entry_is_evicted() {
        let features = |value: f32| Tensor::<2>::full([2, 8], value, &Device::flex());
        // Room for three entries of 64 bytes.
        let cache = FeatureCache::new(200);
        for key in 0..3 {
            cache.insert([key; 32], features(f32::from(key)));
        }
        assert!(cache.get(&[0; 32]).is_some());
        cache.insert([3; 32], features(3.0));
        let kept: Vec<bool> = (0..4).map(|key| cache.get(&[key; 32]).is_some()).collect();
        assert_eq!(kept, [true, false, true, true]);
        // Inserting the same key again does not grow the cache.
        cache.insert([3; 32], features(4.0));
        assert!(cache.get(&[0; 32]).is_some() && cache.get(&[2; 32]).is_some());
        let value = cache.get(&[3; 32]).unwrap().max().into_scalar::<f32>();
        assert_eq!(value, 4.0);
    }

    #[test]
    fn features_larger_than_the_cache_are_not_stored() {
        let cache = FeatureCache::new(63);
        cache.insert([1; 32], Tensor::zeros([2, 8], &Device::flex()));
        assert!(cache.get(&[1; 32]).is_none());
    }
}
