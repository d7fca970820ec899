//! The prompt of a request.

use crate::Error;
use crate::features::{Key, MediaFeatures, missing_features, tile_keys};
use crate::smolvlm::Loaded;
use burn::tensor::Tensor;
use smolvlm_model::TokenKey;
use smolvlm_processor::Media;

/// Tokens, and the images and videos that its image tokens stand for.
pub(crate) struct EncodedPrompt {
    /// Token ids, without padding.
    pub(super) ids: Vec<u32>,
    pub(super) media: Vec<PromptMedia>,
    /// Edge of a tile in pixels.
    pub(super) edge: usize,
    /// Number of tiles whose features were read from the disk.
    pub(super) tiles_read: u64,
}

/// An image or video of a prompt.
pub(super) struct PromptMedia {
    /// Its pixels, until all features are there.
    media: Option<Media>,
    keys: Vec<Key>,
    /// Features of each tile, `[tokens per tile, hidden]`, once encoded.
    features: Vec<Option<Tensor<2>>>,
}

impl EncodedPrompt {
    /// A prompt with these tokens and media. `known` has the features of its [`Media::Precomputed`], in order, and
    /// `sources` the hash of the file of each medium that is to be remembered. Features of other tiles are taken from
    /// the cache: reading files here does not delay other requests.
    pub(crate) fn new(
        loaded: &Loaded,
        ids: Vec<u32>,
        media: Vec<Media>,
        edge: usize,
        known: &mut impl Iterator<Item = MediaFeatures>,
        sources: &mut impl Iterator<Item = Option<Key>>,
    ) -> Result<Self, Error> {
        let vocab_size = loaded.config.text.vocab_size;
        if let Some(position) = ids.iter().position(|&id| id as usize >= vocab_size) {
            let id = ids[position];
            return Err(smolvlm_model::Error::TokenOutOfRange { id, row: 0, position, vocab_size }.into());
        }
        let mut tiles_read = 0;
        let mut cached =
            |key: &Key| loaded.features.get(key).or_else(|| loaded.features.read(key).inspect(|_| tiles_read += 1));
        let media = media.into_iter().map(|media| {
            let source = sources.next().flatten();
            let Some(keys) = tile_keys(loaded, &media, edge)? else {
                let MediaFeatures { keys, features } = known.next().ok_or_else(missing_features)?;
                let features = features.chunk(keys.len(), 0).into_iter().map(Some).collect();
                return Ok(PromptMedia { media: None, keys, features });
            };
            if let Some(source) = source {
                loaded.features.remember(source, media.plan(), keys.clone());
            }
            Ok(PromptMedia { media: Some(media), features: keys.iter().map(&mut cached).collect(), keys })
        });
        let media = media.collect::<Result<_, Error>>()?;
        Ok(Self { ids, media, edge, tiles_read })
    }

    /// The identity of each token's input, for matching of prefixes.
    pub(super) fn token_keys(&self, image_token: u32, tile_len: usize) -> Vec<TokenKey> {
        let mut tiles = self.media.iter().flat_map(|media| &media.keys);
        let (mut tile, mut index) = (tiles.next(), 0);
        let key = |&id: &u32| match tile {
            Some(key) if id == image_token => {
                let found = TokenKey::image(key, index);
                index += 1;
                if index >= tile_len {
                    (tile, index) = (tiles.next(), 0);
                }
                found
            }
            _ => TokenKey::text(id),
        };
        self.ids.iter().map(key).collect()
    }

    /// The tiles from number `start` on without features: their hashes and pixels.
    pub(super) fn missing_tiles(&self, start: usize) -> impl Iterator<Item = (Key, &[f32])> {
        let tiles = self.media.iter().flat_map(|media| {
            let pixels = media.media.as_ref().map_or(&[][..], Media::pixels);
            let len = pixels.len() / media.keys.len().max(1);
            media.keys.iter().zip(&media.features).enumerate().map(move |(index, (key, features))| {
                (features.is_none(), *key, pixels.get(index * len..(index + 1) * len).unwrap_or_default())
            })
        });
        tiles.skip(start).filter(|(missing, _, _)| *missing).map(|(_, key, pixels)| (key, pixels))
    }

    /// The number of tiles from number `start` on whose features are known.
    pub(super) fn known_tiles(&self, start: usize) -> usize {
        self.media.iter().flat_map(|media| &media.features).skip(start).filter(|features| features.is_some()).count()
    }

    /// Stores the features of all tiles with this hash; returns their number.
    pub(super) fn provide(&mut self, key: &Key, features: &Tensor<2>) -> u64 {
        let mut provided = 0;
        for media in &mut self.media {
            for (own, place) in media.keys.iter().zip(&mut media.features) {
                if own == key && place.is_none() {
                    *place = Some(features.clone());
                    provided += 1;
                }
            }
        }
        provided
    }

    /// Frees the pixels.
    pub(super) fn drop_pixels(&mut self) {
        self.media.iter_mut().for_each(|media| media.media = None);
    }

    /// The features of the tiles from number `start` on, concatenated; none without such tiles.
    pub(super) fn features(&self, start: usize) -> Option<Tensor<2>> {
        let tiles = self.media.iter().flat_map(|media| &media.features).skip(start);
        let tiles: Vec<Tensor<2>> = tiles.flatten().cloned().collect();
        (!tiles.is_empty()).then(|| Tensor::cat(tiles, 0))
    }

    /// The features of each image and video, for later requests; none for those with tiles that were not encoded.
    pub(super) fn into_features(self) -> Vec<Option<MediaFeatures>> {
        let features = |media: PromptMedia| {
            let tiles = media.features.into_iter().collect::<Option<Vec<_>>>().filter(|tiles| !tiles.is_empty())?;
            Some(MediaFeatures { keys: media.keys, features: Tensor::cat(tiles, 0) })
        };
        self.media.into_iter().map(features).collect()
    }
}
