//! The parts of the model, and how they get their weights.

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
    #[cfg(feature = "cubecl")]
    #[module(skip)]
    gpu_decoder: crate::gpu::SharedGpuDecoder,
}

/// What loading found besides the weights it used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// CheckpointTensors tensors that no parameter needs, sorted; rotary frequencies, which old exports hold, are not listed.
    pub unexpected: Vec<String>,
    /// Whether the token embeddings serve as output projection, too.
    pub tied: bool,
    /// Whether the configuration asks for that, but the weights hold two different matrices; both are kept then.
    pub tying_overruled: bool,
}

impl SmolVlmModel {
    /// A model model; nothing is allocated before the first use.
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

    /// Reads the weights of a checkpoint into `format`, tensor by tensor: at most the model in that format and one tensor more
    /// are in memory. A [`FloatType`] stands for tensors of that type; packed formats are for Burn's CPU backend.
    ///
    /// # Errors
    ///
    /// [`Error::WeightMismatch`] with everything that is missing or shape_mismatches, [`Error::TensorType`] for tensors in a type
    /// that is not read, [`Error::Config`] when the configuration contradicts itself, [`Error::Device`] when the device
    /// cannot compute in `format`; all before anything is loaded.
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

    /// Random weights, the same ones for the same seed and those that
    /// [`write_random_checkpoint`](crate::write_random_checkpoint) writes: for tests and timings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the configuration contradicts itself, [`Error::Device`] when the device cannot compute in
    /// `float`.
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

    /// The linear layers, with their paths below the model.
    #[cfg(feature = "flex")]
    pub fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        let vision = self.vision.linears_mut().into_iter().map(|(path, linear)| (format!("vision.{path}"), linear));
        let connector = ("connector.proj".to_owned(), &mut self.connector.proj);
        let text = self.text.linears_mut().into_iter().map(|(path, linear)| (format!("text.{path}"), linear));
        let head = self.lm_head.as_mut().map(|head| ("lm_head".to_owned(), head));
        vision.chain([connector]).chain(text).chain(head).collect()
    }

    /// What decodes on a card with kernels of its own; none where there are none for the model or the device.
    #[cfg(feature = "cubecl")]
    pub(crate) fn gpu_decoder(&self) -> Option<&smolvlm_text::GpuDecoder> {
        self.gpu_decoder.get(|| smolvlm_text::GpuDecoder::new(&self.text, &self.config.text, self.lm_head.as_ref()))
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
            Err(Error::Device(format!("weights are packed for the CPU (flex) only, not for {device:?}")))
        }
    }
}

/// Tensors of a checkpoint, as the plan assigns them.
pub(crate) struct CheckpointTensors<'a> {
    pub(crate) weights: &'a Weights,
    pub(crate) plan: &'a Plan,
}

impl CheckpointTensors<'_> {
    fn source(&self, path: &str, shape: &[usize]) -> Result<&Source, Error> {
        let source = self.plan.sources.get(path).filter(|source| source.shape == shape);
        source.ok_or_else(|| Error::UnknownParameter(path.to_owned()))
    }

    /// Fills a slice with a row of a tensor, with what adapters add to it.
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
