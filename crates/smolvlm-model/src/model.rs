//! The model and the loading of its weights.

use crate::Error;
use crate::format::dtype;
use crate::parameter_loader::load_parameters;
use burn::module::Module;
use burn::tensor::Device;
use smolvlm_checkpoint::{CheckpointTensors, RandomTensors, TensorSource, Weights};
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_connector::Connector;
use smolvlm_nn::Linear;
use smolvlm_text::{KvCache, TextModel};
use smolvlm_vision::VisionEncoder;

/// Vision encoder, connector, text model and output projection on Burn tensors, for training and for any backend
/// (transformers 5.24.0, `SmolVLMForConditionalGeneration`).
#[derive(Module, Debug)]
pub struct SmolVlmModel {
    /// Vision encoder: tiles to patch features.
    pub vision: VisionEncoder,
    /// Connector: patch features to the width of the text model.
    pub connector: Connector,
    /// Text model: embeddings to hidden states.
    pub text: TextModel,
    /// Output projection, `[vocabulary, hidden]`; none when it is tied to the token embeddings.
    pub lm_head: Option<Linear>,
    #[module(skip)]
    config: ModelConfig,
    #[cfg(feature = "cubecl")]
    #[module(skip)]
    gpu_decoder: crate::gpu::SharedGpuDecoder,
    #[cfg(feature = "cubecl")]
    #[module(skip)]
    pub(crate) gpu_tile: crate::gpu::SharedTileRecording,
}

/// Findings of loading a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Unused stored tensors, sorted; rotary frequencies, which old exports contain, are not listed.
    pub unexpected: Vec<String>,
    /// Whether the output projection is tied to the token embeddings.
    pub tied: bool,
    /// Whether the configuration ties them but the weights contain two different matrices, both of which are then used.
    pub tying_overruled: bool,
}

impl LoadReport {
    pub(crate) fn new(config: &ModelConfig, tensors: &CheckpointTensors<'_>) -> Self {
        Self {
            unexpected: tensors.unexpected().to_vec(),
            tied: tensors.tied(),
            tying_overruled: config.tie_word_embeddings && !tensors.tied(),
        }
    }
}

impl SmolVlmModel {
    /// A randomly initialized model; parameters are allocated on first use.
    pub fn init(config: &ModelConfig, device: &Device) -> Self {
        Self::with_head(config, !config.tie_word_embeddings, device)
    }

    fn with_head(config: &ModelConfig, head: bool, device: &Device) -> Self {
        let text = &config.text;
        let lm_head = || Linear::init(text.hidden_size, text.vocab_size, false, text.initializer_range, device);
        Self {
            vision: VisionEncoder::init(&config.vision, device),
            connector: Connector::init(config, device),
            text: TextModel::init(text, device),
            lm_head: head.then(lm_head),
            config: config.clone(),
            #[cfg(feature = "cubecl")]
            gpu_decoder: Default::default(),
            #[cfg(feature = "cubecl")]
            gpu_tile: Default::default(),
        }
    }

    /// Loads the weights of a checkpoint as tensors of type `float`, one at a time: memory holds at most the model and
    /// one more tensor.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] with all missing tensors and shape mismatches, or for tensors of an unsupported type,
    /// [`Error::Config`] when the configuration contradicts itself, [`Error::Device`] when the device cannot compute in
    /// `float`; all of them before anything is loaded.
    pub fn load(
        config: &ModelConfig,
        weights: &Weights,
        device: &Device,
        float: FloatType,
    ) -> Result<(Self, LoadReport), Error> {
        config.validate()?;
        let tensors = CheckpointTensors::new(config, weights)?;
        let model = Self::from_source(config, &tensors, tensors.tied(), device, float)?;
        Ok((model, LoadReport::new(config, &tensors)))
    }

    /// Creates a model with random weights for tests and benchmarks. They depend only on the seed and equal those that
    /// [`write_random_weights`](smolvlm_checkpoint::write_random_weights) writes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the configuration contradicts itself, [`Error::Device`] when the device cannot compute in
    /// `float`.
    pub fn random(config: &ModelConfig, seed: u64, device: &Device, float: FloatType) -> Result<Self, Error> {
        config.validate()?;
        Self::from_source(config, &RandomTensors::new(config, seed), config.tie_word_embeddings, device, float)
    }

    pub(crate) fn from_source(
        config: &ModelConfig,
        source: &impl TensorSource,
        tied: bool,
        device: &Device,
        float: FloatType,
    ) -> Result<Self, Error> {
        if !device.supports_dtype(dtype(float)) {
            return Err(Error::Device(format!("{device:?} cannot compute in {}; use float32", float.name())));
        }
        load_parameters(Self::with_head(config, !tied, device), source, device, float)
    }

    /// The linear layers with their paths in the model.
    pub fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        #[cfg(feature = "cubecl")]
        {
            // They use the weights as they were.
            self.gpu_decoder = Default::default();
            self.gpu_tile = Default::default();
        }
        let vision = self.vision.linears_mut().into_iter().map(|(path, linear)| (format!("vision.{path}"), linear));
        let connector = ("connector.proj".to_owned(), &mut self.connector.proj);
        let text = self.text.linears_mut().into_iter().map(|(path, linear)| (format!("text.{path}"), linear));
        let head = self.lm_head.as_mut().map(|head| ("lm_head".to_owned(), head));
        vision.chain([connector]).chain(text).chain(head).collect()
    }

    /// The GPU decoder; none if there are no kernels for the model or the device.
    #[cfg(feature = "cubecl")]
    pub(crate) fn gpu_decoder(&self) -> Option<&smolvlm_text::GpuDecoder> {
        self.gpu_decoder.get(|| smolvlm_text::GpuDecoder::new(&self.text, &self.config.text, self.lm_head.as_ref()))
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// An empty cache with one row per entry of `padding`, the number of padding tokens at its start, and capacity for
    /// `capacity` tokens per row.
    pub fn new_cache(&self, padding: &[usize], capacity: usize) -> KvCache {
        self.text.new_cache(&self.config.text, padding, capacity)
    }
}
