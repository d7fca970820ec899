//! The network: on packed weights or on tensors.

use crate::format::WeightFormat;
#[cfg(feature = "flex")]
use crate::packed::PackedModel;
use crate::{Error, ForwardOptions, LoadReport, ModelInputs, ModelOutput, SmolVlmModel};
use burn::tensor::Device;
use smolvlm_checkpoint::{CancellableTensors, CheckpointTensors, RandomTensors, TensorSource, Weights};
use smolvlm_config::ModelConfig;

/// A model that is ready to run.
#[derive(Debug)]
pub enum Network {
    /// Packed weights, for the CPU kernels.
    #[cfg(feature = "flex")]
    Packed(Box<PackedModel>),
    /// Burn tensors, on any backend.
    Tensors(Box<SmolVlmModel>),
}

impl Network {
    /// Loads the weights of a checkpoint into `format`, tensor by tensor: memory holds at most the model in that format
    /// and one more tensor. Packed formats are for Burn's CPU backend.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] with all missing tensors and shape mismatches, or for tensors of an unsupported type,
    /// [`Error::Config`] when the configuration contradicts itself, [`Error::Device`] when the device cannot compute in
    /// `format`; all of them before anything is loaded.
    pub fn load(
        config: &ModelConfig,
        weights: &Weights,
        device: &Device,
        format: impl Into<WeightFormat>,
    ) -> Result<(Self, LoadReport), Error> {
        Self::load_until(config, weights, device, format, &|| false)
    }

    /// [`load`](Self::load), until `is_cancelled` returns true.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and [`Error::Checkpoint`] with [`Cancelled`](smolvlm_checkpoint::Error::Cancelled).
    pub fn load_until(
        config: &ModelConfig,
        weights: &Weights,
        device: &Device,
        format: impl Into<WeightFormat>,
        is_cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Self, LoadReport), Error> {
        config.validate()?;
        let tensors = CheckpointTensors::new(config, weights)?;
        let source = CancellableTensors::new(&tensors, is_cancelled);
        let network = Self::new(config, &source, tensors.tied(), device, format.into())?;
        Ok((network, LoadReport::new(config, &tensors)))
    }

    /// Creates a network with random weights for tests and benchmarks. They depend only on the seed and equal those
    /// that [`write_random_weights`](smolvlm_checkpoint::write_random_weights) writes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the configuration contradicts itself, [`Error::Device`] when the device cannot compute in
    /// `format`.
    pub fn random(
        config: &ModelConfig,
        seed: u64,
        device: &Device,
        format: impl Into<WeightFormat>,
    ) -> Result<Self, Error> {
        Self::random_until(config, seed, device, format, &|| false)
    }

    /// [`random`](Self::random), until `is_cancelled` returns true.
    ///
    /// # Errors
    ///
    /// As [`random`](Self::random), and [`Error::Checkpoint`] with [`Cancelled`](smolvlm_checkpoint::Error::Cancelled).
    pub fn random_until(
        config: &ModelConfig,
        seed: u64,
        device: &Device,
        format: impl Into<WeightFormat>,
        is_cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self, Error> {
        config.validate()?;
        let tensors = RandomTensors::new(config, seed);
        let source = CancellableTensors::new(&tensors, is_cancelled);
        Self::new(config, &source, config.tie_word_embeddings, device, format.into())
    }

    fn new(
        config: &ModelConfig,
        source: &impl TensorSource,
        tied: bool,
        device: &Device,
        format: WeightFormat,
    ) -> Result<Self, Error> {
        match format {
            WeightFormat::Tensors(float) => {
                Ok(Self::Tensors(Box::new(SmolVlmModel::from_source(config, source, tied, device, float)?)))
            }
            #[cfg(feature = "flex")]
            WeightFormat::Packed(packed) if *device == Device::flex() => {
                Ok(Self::Packed(Box::new(PackedModel::load(config, source, tied, packed)?)))
            }
            WeightFormat::Packed(_) => {
                Err(Error::Device(format!("packed weights need the CPU device (flex), not {device:?}")))
            }
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(model) => model.config(),
            Self::Tensors(model) => model.config(),
        }
    }

    /// Runs complete prompts through the text model.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] for rows of different lengths or features of another width, [`Error::TokenOutOfRange`],
    /// [`Error::ImageTokenMismatch`], [`Error::Device`] and [`Error::OutOfMemory`].
    pub fn forward(&self, inputs: &ModelInputs, options: ForwardOptions) -> Result<ModelOutput, Error> {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(model) => model.forward(inputs, options),
            Self::Tensors(model) => model.forward(inputs, &mut model.new_cache(&inputs.padding, inputs.len()), options),
        }
    }
}
