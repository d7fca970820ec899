//! Keys and values of an earlier prompt, and how much of another prompt they serve.

use crate::features::{Key, MediaFeatures};
use smolvlm_model::KvCache;

/// Keys and values, and what they were computed from.
pub(crate) struct CachedPrefix {
    pub(crate) cache: KvCache,
    /// Its tokens: as many as the cache holds.
    ids: Vec<u32>,
    /// The tiles that its image tokens stand for, in their order.
    tiles: Vec<Key>,
}

impl CachedPrefix {
    /// What a cache of one row holds: the first of these tokens, with these images and videos. None if it holds more.
    pub(crate) fn new(cache: KvCache, ids: &[u32], media: &[MediaFeatures]) -> Option<Self> {
        let ids = ids.get(..cache.len())?.to_vec();
        Some(Self { cache, ids, tiles: tile_keys(media) })
    }

    /// Tokens at the start of another prompt whose keys and values these are. A token that stands for a feature,
    /// `tile_len` of them for a tile, is the same only if the tile is.
    pub(crate) fn shared(&self, ids: &[u32], media: &[MediaFeatures], image: u32, tile_len: usize) -> usize {
        shared((&self.ids, &self.tiles), (ids, &tile_keys(media)), image, tile_len)
    }
}

fn tile_keys(media: &[MediaFeatures]) -> Vec<Key> {
    media.iter().flat_map(|media| media.keys.iter().copied()).collect()
}

fn shared(ours: (&[u32], &[Key]), theirs: (&[u32], &[Key]), image: u32, tile_len: usize) -> usize {
    let mut features = 0;
    let is_same = |(our, their): &(&u32, &u32)| {
        if our != their {
            return false;
        }
        if **our != image {
            return true;
        }
        let tile = features / tile_len.max(1);
        features += 1;
        // An image token without a tile is one that the model wrote.
        ours.1.get(tile).is_some_and(|key| Some(key) == theirs.1.get(tile))
    };
    ours.0.iter().zip(theirs.0).take_while(is_same).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: u32 = 9;

    fn keys(tiles: &[u8]) -> Vec<Key> {
        tiles.iter().map(|&tile| [tile; 32]).collect()
    }

    fn count(ours: (&[u32], &[u8]), theirs: (&[u32], &[u8])) -> usize {
        shared((ours.0, &keys(ours.1)), (theirs.0, &keys(theirs.1)), IMAGE, 2)
    }

    #[test]
    fn tokens_are_the_same_up_to_the_first_other_id_or_tile() {
        let prompt = [1, IMAGE, IMAGE, 2, IMAGE, IMAGE, 3];
        assert_eq!(count((&prompt, &[1, 2]), (&prompt, &[1, 2])), 7);
        assert_eq!(count((&prompt, &[1, 2]), (&prompt, &[1, 3])), 4);
        assert_eq!(count((&prompt, &[1, 2]), (&prompt, &[2, 1])), 1);
        assert_eq!(count((&prompt, &[1, 2]), (&[1, IMAGE, IMAGE, 3], &[1])), 3);
        assert_eq!(count((&[], &[]), (&prompt, &[1, 2])), 0);
        // What the model wrote is no picture, whatever stands there now.
        let written = [1, 2, IMAGE];
        assert_eq!(count((&written, &[]), (&[1, 2, IMAGE, IMAGE], &[1])), 2);
        assert_eq!(count((&written, &[]), (&written, &[])), 2);
    }
}
