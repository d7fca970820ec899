//! The model and the loading of its weights.

use crate::convert::{dtype, tensor_data, tensor_from_fn};
use crate::encoding::{Encoding, scale_name};
use crate::format::WeightFormat;
#[cfg(feature = "flex")]
use crate::parameter_loader::RowSource;
use crate::parameter_loader::{TensorSource, load_parameters};
use crate::random::RandomTensors;
use crate::resolve::{Plan, Source};
use crate::{Error, Weights};
use burn::module::Module;
use burn::tensor::{Device, TensorData};
use rayon::prelude::*;
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_connector::Connector;
use smolvlm_nn::Linear;
use smolvlm_text::{KvCache, TextModel};
use smolvlm_vision::VisionEncoder;

/// Vision encoder, connector, text model and output projection (transformers 5.24.0,
/// `SmolVLMForConditionalGeneration`).
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
}

/// Findings of loading a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Unused stored tensors, sorted; rotary frequencies, which old exports contain, are not listed.
    pub unexpected: Vec<String>,
    /// Whether the output projection is tied to the token embeddings.
    pub tied: bool,
    /// Whether the configuration ties them but the weights contain two different matrices, both of which are then used.
    pub tying_overruled: bool,
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
        }
    }

    /// Loads the weights of a checkpoint into `format`, tensor by tensor: memory holds at most the model in that format
    /// and one more tensor. A [`FloatType`] selects tensors of that type; packed formats are for Burn's CPU backend.
    ///
    /// # Errors
    ///
    /// [`Error::WeightMismatch`] with all missing tensors and shape mismatches, [`Error::TensorType`] for tensors of an
    /// unsupported type, [`Error::Config`] when the configuration contradicts itself, [`Error::Device`] when the device
    /// cannot compute in `format`; all of them before anything is loaded.
    pub fn load(
        config: &ModelConfig,
        weights: &Weights,
        device: &Device,
        format: impl Into<WeightFormat>,
    ) -> Result<(Self, LoadReport), Error> {
        let format = format.into();
        check(config, device, format)?;
        let plan = Plan::new(config, weights)?;
        let uninitialized = Self::with_head(config, !plan.tied, device);
        let model = uninitialized.with_weights(&CheckpointTensors { weights, plan: &plan }, device, format)?;
        let tying_overruled = config.tie_word_embeddings && !plan.tied;
        Ok((model, LoadReport { unexpected: plan.unexpected, tied: plan.tied, tying_overruled }))
    }

    /// Creates a model with random weights for tests and benchmarks. They depend only on the seed and equal those that
    /// [`write_random_checkpoint`](crate::write_random_checkpoint) writes.
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
        let format = format.into();
        check(config, device, format)?;
        Self::init(config, device).with_weights(&RandomTensors::new(config, seed), device, format)
    }

    fn with_weights(self, source: &impl TensorSource, device: &Device, format: WeightFormat) -> Result<Self, Error> {
        #[cfg(feature = "flex")]
        if let WeightFormat::Packed(packed) = format {
            return load_parameters(crate::packed::pack(self, source, packed)?, source, device, format);
        }
        load_parameters(self, source, device, format)
    }

    /// The linear layers with their paths in the model.
    #[cfg(feature = "flex")]
    pub fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
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

/// Checks the configuration, and that the device supports the format.
fn check(config: &ModelConfig, device: &Device, format: WeightFormat) -> Result<(), Error> {
    config.validate()?;
    match format {
        WeightFormat::Tensors(float) if device.supports_dtype(dtype(float)) => Ok(()),
        WeightFormat::Tensors(float) => {
            Err(Error::Device(format!("{device:?} cannot compute in {}; use float32", float.name())))
        }
        #[cfg(feature = "flex")]
        WeightFormat::Packed(_) if *device == Device::flex() => Ok(()),
        WeightFormat::Packed(_) => {
            Err(Error::Device(format!("packed weights need the CPU device (flex), not {device:?}")))
        }
    }
}

/// The tensors of a checkpoint, assigned to parameters by a plan.
pub(crate) struct CheckpointTensors<'a> {
    pub(crate) weights: &'a Weights,
    pub(crate) plan: &'a Plan,
}

impl CheckpointTensors<'_> {
    fn source(&self, path: &str, shape: &[usize]) -> Result<&Source, Error> {
        let source = self.plan.sources.get(path).filter(|source| source.shape == shape);
        source.ok_or_else(|| Error::UnknownParameter(path.to_owned()))
    }

    /// A function that fills a slice with a row of a tensor, including the updates of adapters.
    fn row_reader<'a>(&'a self, source: &'a Source) -> impl Fn(usize, &mut [f32]) + Sync + 'a {
        let (codes, scales) = (self.weights.bytes(&source.name), self.weights.bytes(&scale_name(&source.name)));
        let deltas = self.weights.deltas(&source.name);
        move |row, out| {
            source.encoding.read_row(codes, scales, row, out);
            deltas.iter().for_each(|delta| delta.add_row(row, out));
        }
    }
}

impl TensorSource for CheckpointTensors<'_> {
    fn tensor(&self, path: &str, shape: &[usize], float: FloatType) -> Result<TensorData, Error> {
        let source = self.source(path, shape)?;
        let data = match source.encoding {
            Encoding::Float(stored) if self.weights.deltas(&source.name).is_empty() => {
                tensor_data(self.weights.bytes(&source.name), stored, float, shape)
            }
            _ => {
                let row_len = shape.iter().skip(1).product::<usize>().max(1);
                let mut values = vec![0.0_f32; shape.iter().product()];
                let read_row = self.row_reader(source);
                values.par_chunks_mut(row_len).enumerate().for_each(|(row, out)| read_row(row, out));
                tensor_from_fn(values.len(), float, shape, |start, out| {
                    out.copy_from_slice(&values[start..][..out.len()])
                })
            }
        };
        self.release(path);
        Ok(data)
    }

    #[cfg(feature = "flex")]
    fn rows(&self, path: &str, shape: &[usize]) -> Result<RowSource<'_>, Error> {
        Ok(Box::new(self.row_reader(self.source(path, shape)?)))
    }

    fn release(&self, path: &str) {
        if let Some(source) = self.plan.sources.get(path) {
            self.weights.release(&source.name);
        }
    }
}
