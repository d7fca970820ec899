//! A digest of the weights that image features depend on.

use crate::tensor_specs::is_vision_tensor;
use crate::weights::Weights;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

impl Weights {
    /// SHA-256 of all tensors of the vision encoder and the connector: their names, types, shapes and stored values,
    /// and the updates of adapters. Equal digests mean equal image features in the same number format. Tensors of the
    /// text model do not count.
    pub fn vision_digest(&self) -> [u8; 32] {
        let names: Vec<&str> = self.names().filter(|name| is_vision_tensor(name)).collect();
        let digests: Vec<[u8; 32]> = names.par_iter().map(|name| self.tensor_digest(name)).collect();
        Sha256::digest(digests.concat()).into()
    }

    fn tensor_digest(&self, name: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            // The length separates a part from the next one.
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(name.as_bytes());
        if let Some(tensor) = self.tensor(name) {
            part(format!("{} {:?}", tensor.dtype, tensor.shape).as_bytes());
        }
        part(self.bytes(name));
        self.release(name);
        for factor in self.deltas(name).iter().flat_map(|delta| delta.factors()) {
            part(bytemuck::cast_slice(factor));
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use crate::{NamedTensor, Values, Weights, write_checkpoint};

    /// The digest of a checkpoint with these tensors, `[2, 2]` each unless stated.
    fn digest(tensors: &[(&str, [f32; 4])], shape: &[usize]) -> [u8; 32] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let tensor = |(name, values): &(&str, [f32; 4])| NamedTensor {
            name: (*name).to_owned(),
            shape: shape.to_vec(),
            values: Values::F32(values.to_vec()),
        };
        write_checkpoint(tensors.iter().map(tensor).collect(), &path).unwrap();
        Weights::open(&path).unwrap().vision_digest()
    }

    #[test]
    fn only_changes_of_vision_encoder_and_connector_count() {
        let [vision, connector, text] = ["model.vision_model.a", "model.connector.b", "model.text_model.c"];
        let own = [(vision, [1.0; 4]), (connector, [2.0; 4]), (text, [3.0; 4])];
        let first = digest(&own, &[2, 2]);
        assert_eq!(digest(&[own[0], own[1], (text, [4.0; 4])], &[2, 2]), first);
        // Some checkpoints omit the prefix.
        assert_eq!(digest(&[("vision_model.a", [1.0; 4]), own[1], own[2]], &[2, 2]), first);
        for other in [
            [(vision, [1.0, 1.0, 1.0, 1.1]), own[1], own[2]],
            [own[0], (connector, [-2.0; 4]), own[2]],
            [("model.vision_model.d", [1.0; 4]), own[1], own[2]],
            [(vision, [2.0; 4]), (connector, [1.0; 4]), own[2]],
        ] {
            assert_ne!(digest(&other, &[2, 2]), first, "{other:?}");
        }
        assert_ne!(digest(&own, &[4, 1]), first);
    }
}
