//! The model as a user holds it.

use crate::device::{Choice, guarded};
use crate::features::FeatureCache;
use crate::forward::{Forward, ForwardRequest};
use crate::options::format_of;
use crate::run::Run;
use crate::threads::Threads;
use crate::{
    Cancel, Chat, Device, DeviceInfo, Error, Generation, HiddenStates, Options, PeakRates, Progress, Source, Stream,
    Truncation, estimate,
};
use burn::tensor::Tensor;
use smolvlm_config::{GenerationConfig, ModelConfig};
use smolvlm_generate::SamplingParams;
use smolvlm_model::{ImageFeatures, LoadReport, ModelInputs, SmolVlmModel, WeightFormat};
use smolvlm_processor::{Batch, Conversation, Media, Processor, RenderOptions};
use std::path::{Path, PathBuf};

/// Longest answer when neither the caller nor the checkpoint says.
const DEFAULT_MAX_NEW_TOKENS: usize = 256;

/// A loaded model with its processor. All methods take `&self`; a `SmolVlm` can be shared between threads.
pub struct SmolVlm {
    pub(crate) config: ModelConfig,
    pub(crate) processor: Processor,
    pub(crate) model: SmolVlmModel,
    device: DeviceInfo,
    passed_over: Vec<Error>,
    handle: burn::tensor::Device,
    format: WeightFormat,
    report: LoadReport,
    folders: Vec<PathBuf>,
    pub(crate) features: FeatureCache,
    pub(crate) vision_batch: usize,
    truncation: Truncation,
    threads: Threads,
}

impl SmolVlm {
    /// Loads a checkpoint.
    ///
    /// # Errors
    ///
    /// A missing or broken file, a tensor that is missing or has the wrong shape, a device this build lacks, a hub that
    /// does not answer: each says which file or repository and what to do.
    pub fn load(source: Source, options: Options) -> Result<Self, Error> {
        Self::load_with_progress(source, options, &mut |_| {})
    }

    /// [`load`](Self::load), telling `progress` how far downloads have come.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_with_progress(
        source: Source,
        options: Options,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Self, Error> {
        // What cannot be had at all is said before anything is downloaded.
        let choice = Choice::new(options.device, options.dtype)?;
        let threads = Threads::new(options.threads)?;
        let checkpoint = source.open(progress)?.with_adapters(&options.adapters)?;
        let processor = checkpoint.processor(&options)?;
        let config = checkpoint.config()?;
        let (prompt, model) = (processor.config().image_seq_len, config.image_seq_len());
        if prompt != model {
            return Err(Error::ImageTokens { prompt, model });
        }
        // A quantized checkpoint is admitted by its own size.
        let quantized = checkpoint.weights()?.and_then(|weights| weights.quantized());
        let size = |format| estimate::weights(&config, format_of(options.dtype, format, quantized));
        let Choice { found: device, format, passed_over, .. } = choice.that_holds(size)?;
        let load = || checkpoint.model(&config, options.dtype, format, &device.handle);
        let (model, report, format) = guarded(device.info.device, || {
            threads.compute(|| {
                let loaded = load()?;
                // Cards copy later: that there is no room is to be said now.
                device.handle.sync().map_err(|error| smolvlm_model::Error::device(&error))?;
                Ok::<_, Error>(loaded)
            })
        })?;
        Ok(Self {
            config,
            processor,
            model,
            vision_batch: options.vision_batch_on(device.info.device),
            device: device.info,
            passed_over,
            handle: device.handle,
            format,
            report,
            folders: checkpoint.folders().into_iter().map(Path::to_owned).collect(),
            features: FeatureCache::new(options.feature_cache_bytes),
            truncation: options.truncation,
            threads,
        })
    }

    /// Loads a checkpoint's processor alone. Needs no weights and no device.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_processor(
        source: Source,
        options: &Options,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Processor, Error> {
        source.open(progress)?.with_adapters(&options.adapters)?.processor(options)
    }

    /// The checkpoint's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The processor: chat template, tokenizer, images.
    pub fn processor(&self) -> &Processor {
        &self.processor
    }

    /// The network itself, for a loop of your own.
    pub fn model(&self) -> &SmolVlmModel {
        &self.model
    }

    /// Where it runs, which [`Device::Auto`](crate::Device::Auto) leaves to the machine.
    pub fn device(&self) -> &DeviceInfo {
        &self.device
    }

    /// Why it is none of the devices that [`Device::Auto`](crate::Device::Auto) would rather take, the best first: they are not
    /// there, draw in software, do not compute in the number format or cannot hold the weights.
    pub fn passed_over(&self) -> &[Error] {
        &self.passed_over
    }

    /// The peak rates of the device, on a CPU with the threads of [`Options::threads`]; none if it fails.
    pub fn peak_rates(&self) -> Option<PeakRates> {
        if self.device.device != Device::Flex {
            return guarded(self.device.device, || Ok::<_, Error>(PeakRates::of_device(&self.handle))).ok().flatten();
        }
        Some(PeakRates::measure(self.threads.count()))
    }

    /// How the weights are kept, which [`Dtype::Auto`](crate::Dtype::Auto) leaves to the device.
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// What loading found besides the weights it used, such as stored tensors that no part of the model needs.
    pub fn load_report(&self) -> &LoadReport {
        &self.report
    }

    /// The folders that it was read from, whose files must not be overwritten: of a model with adapters, the base model's and
    /// all of theirs.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The sampling parameters that the checkpoint's `generation_config.json` asks for, with its end tokens; greedy and at
    /// most 256 new tokens where it says nothing.
    pub fn sampling(&self) -> SamplingParams {
        let params = SamplingParams::from_config(&self.config.generation);
        match (self.config.generation.max_new_tokens, self.config.generation.max_length) {
            (None, None) => params.max_new_tokens(DEFAULT_MAX_NEW_TOKENS),
            _ => params,
        }
    }

    /// Answers a conversation with the checkpoint's own [`sampling`](Self::sampling) parameters.
    ///
    /// # Errors
    ///
    /// Media that cannot be read, a conversation the template cannot render, a prompt longer than the model's context.
    pub fn chat(&self, conversation: impl Into<Conversation>) -> Result<Generation, Error> {
        self.generate(conversation, self.sampling())
    }

    /// Answers a conversation: with the best text, if parameters ask for several.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat), and parameters out of range.
    pub fn generate(&self, conversation: impl Into<Conversation>, params: SamplingParams) -> Result<Generation, Error> {
        let mut answers = self.batch(&[conversation.into()], params)?;
        // One conversation in, one answer out.
        Ok(answers.swap_remove(0))
    }

    /// Answers several conversations at once: text only, with images, with videos, in any mix. Each answer is the one that
    /// its conversation gets alone. With `num_return_sequences`, each conversation has that many answers, one after the
    /// other.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate); messages name the conversation by its index.
    pub fn batch(&self, conversations: &[Conversation], params: SamplingParams) -> Result<Vec<Generation>, Error> {
        if params.num_beams > 1 {
            return crate::beams::run(self, conversations, &params);
        }
        let mut run = Run::new(self, conversations, &params, Cancel::new())?;
        while !run.is_finished() {
            self.on_threads(|| run.step())?;
        }
        Ok(run.into_generations())
    }

    /// Answers a conversation piece by piece.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate), and [`Error::OneAnswer`] for beams or several texts; what goes wrong later comes out
    /// of the stream.
    pub fn stream(&self, conversation: impl Into<Conversation>, params: SamplingParams) -> Result<Stream<'_>, Error> {
        if params.num_beams > 1 || params.num_return_sequences > 1 {
            return Err(Error::OneAnswer);
        }
        let (conversation, cancel) = (conversation.into(), Cancel::new());
        let run = Run::new(self, &[conversation], &params, cancel.clone())?;
        Ok(Stream::new(self, run, cancel))
    }

    /// Starts a conversation of several turns, with what has been said already, if anything.
    pub fn start_chat(&self, history: impl Into<Conversation>) -> Chat<'_> {
        Chat::new(self, history.into())
    }

    /// The last hidden states of conversations, padded on the left to one length while they run. Prompts end with the words
    /// that ask for an answer.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn hidden_states(&self, conversations: &[Conversation]) -> Result<Vec<HiddenStates>, Error> {
        crate::hidden::run(self, conversations)
    }

    /// Runs the model once over the conversations, padded on the left to one length, and gives its logits and, on
    /// request, its inner stages.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn forward(&self, conversations: &[Conversation], request: ForwardRequest) -> Result<Forward, Error> {
        crate::forward::run(self, conversations, request)
    }

    pub(crate) fn generation(&self) -> &GenerationConfig {
        &self.config.generation
    }

    /// Model inputs of conversations, which the truncation policy may shorten first. What is too long or too much is refused
    /// before any pixel is decoded.
    pub(crate) fn process(&self, conversations: &[Conversation], params: &SamplingParams) -> Result<Batch, Error> {
        self.process_with(conversations, params, &RenderOptions::answer())
    }

    /// [`process`](Self::process) with other words around the conversations.
    pub(crate) fn process_with(
        &self,
        conversations: &[Conversation],
        params: &SamplingParams,
        options: &RenderOptions,
    ) -> Result<Batch, Error> {
        self.threads.prepare(|| self.process_here(conversations, params, options))?
    }

    fn process_here(
        &self,
        conversations: &[Conversation],
        params: &SamplingParams,
        options: &RenderOptions,
    ) -> Result<Batch, Error> {
        let prepared = match self.truncation {
            Truncation::Refuse => self.processor.prepare(conversations, options)?,
            Truncation::DropOldest => {
                let fits = prompt_limit(self.config.text.max_position_embeddings, params.limit(0).unwrap_or(1));
                self.processor.prepare_fitting(conversations, options, fits)?
            }
        };
        self.admit(&prepared, params)?;
        Ok(prepared.load()?)
    }

    /// Features of all images and videos of a batch with the encoder's inner stages.
    pub(crate) fn staged_features(&self, batch: &Batch, stages: bool) -> Result<Option<ImageFeatures>, Error> {
        let media: Vec<&[f32]> = batch.all_media().map(Media::pixels).collect();
        if media.is_empty() {
            return Ok(None);
        }
        Ok(self.model.image_features(&media, batch.edge, self.vision_batch, stages)?)
    }

    /// A batch as the model takes it.
    pub(crate) fn inputs(&self, batch: &Batch, features: Option<Tensor<2>>) -> ModelInputs {
        let padding = (0..batch.rows).map(|row| batch.len - batch.prompt_len(row)).collect();
        ModelInputs { input_ids: batch.input_ids.clone(), padding, features }
    }

    /// Does work on this model's own threads, those of [`Options::threads`]: what each forward pass of a loop of your own
    /// around [`model`](Self::model) should run in. Calls from several threads take turns in the order in which they come, so
    /// work must not wait for such a call of another thread.
    ///
    /// # Errors
    ///
    /// Those of the work; a graphics card's backend that panics is one as well.
    pub fn on_threads<T, E>(&self, work: impl FnOnce() -> Result<T, E> + Send) -> Result<T, E>
    where
        T: Send,
        E: From<smolvlm_model::Error> + Send,
    {
        guarded(self.device.device, || self.threads.compute(work))
    }
}

/// Longest prompt that truncation leaves: there is room for the answer, but not more than a quarter of the context.
pub(crate) fn prompt_limit(context: usize, new_tokens: usize) -> usize {
    context - new_tokens.min(context / 4)
}
