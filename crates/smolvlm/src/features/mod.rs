//! Image features, with a cache so that each tile is encoded once.

mod disk;
mod fingerprint;
mod folder;
mod memory;
mod options;
mod recall;
mod record;
mod writer;

pub(crate) use disk::CacheFolder;
pub(crate) use fingerprint::fingerprint;
pub use options::FeatureCacheOptions;
pub(crate) use recall::Recalled;

use crate::smolvlm::Loaded;
use crate::{Error, SmolVlm};
use burn::tensor::Tensor;
use disk::DiskCache;
use memory::MemoryCache;
use rayon::prelude::*;
use recall::KnownImages;
use sha2::{Digest, Sha256};
use smolvlm_processor::{Batch, Media, MediaPlan};
use std::collections::HashMap;

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

/// Cache of tile features, `[tokens per tile, hidden]` each, keyed by the hash of the tile's pixels: an image that is
/// asked about again and identical video frames are encoded once. Tiles are encoded independently of each other, so
/// equal pixels have equal features.
#[derive(Debug)]
pub(crate) struct FeatureCache {
    memory: MemoryCache,
    disk: Option<DiskCache>,
    images: KnownImages,
}

impl FeatureCache {
    pub(crate) fn new(memory_bytes: usize, disk: Option<DiskCache>) -> Self {
        Self { memory: MemoryCache::new(memory_bytes), disk, images: KnownImages::default() }
    }

    /// The features of a tile, if they are in memory.
    pub(crate) fn get(&self, key: &Key) -> Option<Tensor<2>> {
        self.memory.get(key)
    }

    /// The features of a tile, if they are on disk.
    pub(crate) fn read(&self, key: &Key) -> Option<Tensor<2>> {
        let features = self.disk.as_ref()?.read(key)?;
        self.memory.insert(*key, features.clone());
        Some(features)
    }

    /// Remembers which tiles an image has, by the hash of its file and options.
    pub(crate) fn remember(&self, source: Key, plan: MediaPlan, keys: Vec<Key>) {
        self.images.insert(source, plan, keys);
    }

    /// Stores the features of a tile that was encoded.
    pub(crate) fn insert(&self, key: Key, features: Tensor<2>) {
        if let Some(disk) = &self.disk {
            disk.write(key, &features);
        }
        self.memory.insert(key, features);
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
            let own = tile_keys(loaded, media, batch.edge)?.ok_or_else(missing_features)?;
            let tiles = media.pixels().chunks_exact(tile_len(loaded, batch.edge));
            for (key, pixels) in own.iter().zip(tiles) {
                if encoded.contains_key(key) || fresh.iter().any(|(other, _)| other == key) {
                    continue;
                }
                match loaded.features.get(key).or_else(|| loaded.features.read(key)) {
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
///
/// # Errors
///
/// [`Error::Threads`].
pub(crate) fn tile_keys(loaded: &Loaded, media: &Media, edge: usize) -> Result<Option<Vec<Key>>, Error> {
    if media.edge().is_none() {
        return Ok(None);
    }
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
    // The tiles of a photo have 40 MB.
    let keys = || media.pixels().par_chunks_exact(tile_len(loaded, edge)).map(key).collect();
    loaded.threads.prepare(keys).map(Some)
}

/// The error for a previously processed image or video whose features are missing.
pub(crate) fn missing_features() -> Error {
    Error::Model(smolvlm_model::Error::Input {
        what: "features",
        message: "the features of a previously processed image or video are missing".to_owned(),
    })
}
