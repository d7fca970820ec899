//! The file of a tile's features: a header, the values, and a checksum.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `SMOLVLMF` |
//! | 4 | version of this layout, u32 |
//! | 4 + 4 | tokens of the tile and hidden size, u32 each |
//! | 4 each | values, f32, row-major |
//! | 32 | SHA-256 of fingerprint, key and all bytes before it |
//!
//! Numbers are little-endian. The checksum covers the names of the file, too: a copy under another name is invalid.

use super::Key;
use super::fingerprint::Fingerprint;
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"SMOLVLMF";
const VERSION: u32 = 1;
const HEADER: usize = 20;
const CHECKSUM: usize = 32;

/// The layout of the files of one model, which all have the same size.
#[derive(Debug, Clone)]
pub(super) struct Record {
    fingerprint: Fingerprint,
    header: [u8; HEADER],
    elements: usize,
}

impl Record {
    /// Files of features of the shape `[tokens per tile, hidden]`.
    pub(super) fn new(fingerprint: Fingerprint, shape: [usize; 2]) -> Self {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        // Sizes of a valid model are far below 2^32.
        for (bytes, number) in header[8..].chunks_exact_mut(4).zip([VERSION, shape[0] as u32, shape[1] as u32]) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        Self { fingerprint, header, elements: shape[0] * shape[1] }
    }

    /// Size of a file in bytes.
    pub(super) fn len(&self) -> usize {
        HEADER + 4 * self.elements + CHECKSUM
    }

    /// The fingerprint.
    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The file with these values; none if their number is another one.
    pub(super) fn encode(&self, key: &Key, values: &[f32]) -> Option<Vec<u8>> {
        if values.len() != self.elements {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend(self.header);
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes.extend(self.checksum(key, &bytes));
        Some(bytes)
    }

    /// The values in a file; none unless all of its bytes are as they were written.
    pub(super) fn decode(&self, key: &Key, bytes: &[u8]) -> Option<Vec<f32>> {
        if bytes.len() != self.len() || !bytes.starts_with(&self.header) {
            return None;
        }
        let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
        if self.checksum(key, content) != checksum {
            return None;
        }
        Some(content[HEADER..].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn checksum(&self, key: &Key, content: &[u8]) -> [u8; CHECKSUM] {
        let hash = Sha256::new().chain_update(self.fingerprint).chain_update(key);
        hash.chain_update(content).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Record;

    const VALUES: [f32; 6] = [0.0, -0.0, 1.5, f32::MIN_POSITIVE, -3.4e38, 1e-40];

    fn record() -> Record {
        Record::new([7; 32], [2, 3])
    }

    #[test]
    fn values_return_bit_by_bit() {
        let bytes = record().encode(&[1; 32], &VALUES).unwrap();
        assert_eq!(bytes.len(), record().len());
        let found: Vec<u32> = record().decode(&[1; 32], &bytes).unwrap().into_iter().map(f32::to_bits).collect();
        assert_eq!(found, VALUES.map(f32::to_bits));
    }

    #[test]
    fn every_truncation_extension_and_changed_byte_is_invalid() {
        let bytes = record().encode(&[1; 32], &VALUES).unwrap();
        for len in 0..bytes.len() {
            assert_eq!(record().decode(&[1; 32], &bytes[..len]), None, "{len} bytes");
        }
        assert_eq!(record().decode(&[1; 32], &[&bytes[..], &[0]].concat()), None);
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[index] ^= 1 << bit;
                assert_eq!(record().decode(&[1; 32], &changed), None, "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn files_of_other_tiles_models_and_shapes_are_invalid() {
        let bytes = record().encode(&[1; 32], &VALUES).unwrap();
        assert_eq!(record().decode(&[2; 32], &bytes), None);
        assert_eq!(Record::new([8; 32], [2, 3]).decode(&[1; 32], &bytes), None);
        assert_eq!(Record::new([7; 32], [3, 2]).decode(&[1; 32], &bytes), None);
        assert_eq!(record().encode(&[1; 32], &VALUES[..5]), None);
    }
}
