//! Identity of a token's input, for prefix matching.

/// Identifies a token's input to the model: a text token by its id, an image token by its tile and position in it.
/// Sequences with equal keys have equal keys and values in the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenKey(u128);

/// Set in the low 32 bits of image tokens; token ids are smaller.
const IMAGE: u128 = 1 << 31;

impl TokenKey {
    /// The key of a text token, or of an image token that the model generated.
    pub fn text(id: u32) -> Self {
        Self(u128::from(id))
    }

    /// The key of feature `index` of a tile, whose pixels have this SHA-256 hash.
    pub fn image(tile: &[u8; 32], index: usize) -> Self {
        let hash = tile.iter().take(12).fold(0, |hash, &byte| hash << 8 | u128::from(byte));
        Self(hash << 32 | IMAGE | index as u128)
    }
}

#[cfg(test)]
mod tests {
    use super::TokenKey;

    #[test]
    fn keys_tell_texts_tiles_and_positions_apart() {
        let keys = [
            TokenKey::text(0),
            TokenKey::text(7),
            TokenKey::image(&[0; 32], 0),
            TokenKey::image(&[0; 32], 7),
            TokenKey::image(&[1; 32], 0),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == key), Some(index));
        }
        assert_eq!(TokenKey::image(&[3; 32], 5), TokenKey::image(&[3; 32], 5));
    }
}
