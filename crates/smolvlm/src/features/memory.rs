//! The feature cache in memory.

use super::Key;
use burn::tensor::Tensor;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// LRU cache of tile features.
#[derive(Debug)]
pub(super) struct MemoryCache {
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

impl MemoryCache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, tiles: Mutex::default() }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Tensor<2>> {
        // A poisoned lock is safe to use: no entry is ever partially written.
        let mut tiles = self.tiles.lock().unwrap_or_else(PoisonError::into_inner);
        tiles.clock += 1;
        let used = tiles.clock;
        let entry = tiles.entries.get_mut(key)?;
        entry.used = used;
        Some(entry.features.clone())
    }

    pub(super) fn insert(&self, key: Key, features: Tensor<2>) {
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

#[cfg(test)]
mod tests {
    use super::MemoryCache;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn least_recently_used_entry_is_evicted() {
        let features = |value: f32| Tensor::<2>::full([2, 8], value, &Device::flex());
        // Room for three entries of 64 bytes.
        let cache = MemoryCache::new(200);
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
        let cache = MemoryCache::new(63);
        cache.insert([1; 32], Tensor::zeros([2, 8], &Device::flex()));
        assert!(cache.get(&[1; 32]).is_none());
    }
}
