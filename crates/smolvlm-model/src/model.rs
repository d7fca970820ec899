//! The parts of the model, and how they get their weights.

use crate::convert::{dtype, tensor_data};
use crate::place::{TensorSource, place};
use crate::random::RandomTensors;
use crate::resolve::Plan;
use crate::{Error, Weights};
use burn::module::Module;
use burn::tensor::{Device, TensorData};
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_connector::Connector;
use smolvlm_kernels::Linear;
use smolvlm_text::{KvCache, TextModel};
use smolvlm_vision::VisionEncoder;

/// Vision encoder, connector, text model and output projection (transformers 5.23.0, `SmolVLMForConditionalGeneration`).
#[derive(Module, Debug)]
pub struct SmolVlmModel {
    /// Tiles to patch features.
    pub vision: VisionEncoder,
    /// Patch features to the width of the text model.
    pub connector: Connector,
    /// Embeddings to hidden states.
    pub text: TextModel,
    /// Hidden states to logits, `[vocabulary, hidden]`; none when the token embeddings serve as projection, too.
    pub lm_head: Option<Linear>,
    #[module(skip)]
    config: ModelConfig,
}

/// What loading found besides the weights it used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Stored tensors that no parameter needs, sorted; rotary frequencies, which old exports hold, are not listed.
    pub unexpected: Vec<String>,
    /// Whether the token embeddings serve as output projection, too.
    pub tied: bool,
    /// Whether the configuration asks for that, but the weights hold two different matrices; both are kept then.
    pub tying_overruled: bool,
}

impl SmolVlmModel {
    /// A fresh model; nothing is allocated before the first use.
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
        }
    }

    /// Reads the weights of a checkpoint into `float`, tensor by tensor: at most the model in `float` and one tensor more
    /// are in memory.
    ///
    /// # Errors
    ///
    /// [`Error::WeightMismatch`] with everything that is missing or misshapen, [`Error::TensorType`] for tensors in a type
    /// that is not read, [`Error::Config`] when the configuration contradicts itself, [`Error::Device`] when the device
    /// cannot compute in `float`; all before anything is loaded.
    pub fn load(
        config: &ModelConfig,
        weights: &Weights,
        device: &Device,
        float: FloatType,
    ) -> Result<(Self, LoadReport), Error> {
        check(config, device, float)?;
        let plan = Plan::new(config, weights)?;
        let fresh = Self::with_head(config, !plan.tied, device);
        let model = place(fresh, &Stored { weights, plan: &plan }, device, float)?;
        let tying_overruled = config.tie_word_embeddings && !plan.tied;
        Ok((model, LoadReport { unexpected: plan.unexpected, tied: plan.tied, tying_overruled }))
    }

    /// Random weights, the same ones for the same seed and those that
    /// [`write_random_checkpoint`](crate::write_random_checkpoint) writes: for tests and timings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the configuration contradicts itself, [`Error::Device`] when the device cannot compute in
    /// `float`.
    pub fn random(config: &ModelConfig, seed: u64, device: &Device, float: FloatType) -> Result<Self, Error> {
        check(config, device, float)?;
        place(Self::init(config, device), &RandomTensors::new(config, seed), device, float)
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// An empty cache: one row per entry of `padding`, the number of padding tokens at its start, with room for
    /// `capacity` tokens each.
    pub fn new_cache(&self, padding: &[usize], capacity: usize) -> KvCache {
        self.text.new_cache(&self.config.text, padding, capacity)
    }
}

/// What can be wrong before there are any weights.
fn check(config: &ModelConfig, device: &Device, float: FloatType) -> Result<(), Error> {
    config.validate()?;
    if device.supports_dtype(dtype(float)) {
        Ok(())
    } else {
        Err(Error::Device(format!("{device:?} cannot compute in {}; use float32", float.name())))
    }
}

/// Tensors of a checkpoint, as the plan assigns them.
struct Stored<'a> {
    weights: &'a Weights,
    plan: &'a Plan,
}

impl TensorSource for Stored<'_> {
    fn tensor(&self, path: &str, shape: &[usize], float: FloatType) -> Result<TensorData, Error> {
        let source = self.plan.sources.get(path).filter(|source| source.shape == shape);
        let source = source.ok_or_else(|| Error::UnknownParameter(path.to_owned()))?;
        let data = tensor_data(self.weights.bytes(&source.name), source.float, float, shape);
        self.weights.release(&source.name);
        Ok(data)
    }
}
