//! The source of the weights to write.

use smolvlm_config::ModelConfig;

use crate::random::RandomTensors;
use crate::tensor_specs::{TensorSpec, lm_head_spec, tensor_specs};
use crate::tensors::{CheckpointTensors, TensorSource};
use crate::{Error, Weights};

/// The source of the weights to write.
#[derive(Debug)]
pub enum WeightSource<'a> {
    /// The weights of a checkpoint.
    Weights(&'a Weights),
    /// Random weights with this seed.
    Random(u64),
}

impl<'a> WeightSource<'a> {
    /// The tensors to write and the source of their values. The output projection is one of them if the checkpoint
    /// stores it, even if the configuration ties it to the embeddings.
    pub(crate) fn tensors(
        &self,
        config: &ModelConfig,
    ) -> Result<(Vec<TensorSpec>, Box<dyn TensorSource + Sync + 'a>), Error> {
        let mut specs = tensor_specs(config);
        Ok(match *self {
            Self::Weights(weights) => {
                let tensors = CheckpointTensors::new(config, weights)?;
                if config.tie_word_embeddings && !tensors.tied() {
                    specs.push(lm_head_spec(config));
                }
                (specs, Box::new(tensors))
            }
            Self::Random(seed) => (specs, Box::new(RandomTensors::new(config, seed))),
        })
    }
}
