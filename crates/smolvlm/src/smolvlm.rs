//! The main type: a loaded model with its processor.

use crate::constrain::Constraints;
use crate::device::{DeviceChoice, guarded, peak_rates};
use crate::engine::Engine;
use crate::features::{CacheFolder, FeatureCache, fingerprint};
use crate::forward::{Forward, ForwardRequest};
use crate::options::resolve_format;
use crate::submit;
use crate::threads::Threads;
use crate::{
    Cancel, Chat, Device, DeviceInfo, EngineStats, Error, Generation, HiddenStates, Options, PeakRates, Progress,
    Prompt, Source, Stream, Truncation, estimate,
};
use smolvlm_config::{GenerationConfig, ModelConfig};
use smolvlm_generate::SamplingParams;
use smolvlm_model::{LoadReport, Network, WeightFormat};
use smolvlm_processor::{Batch, Conversation, Processor, RenderOptions};
use std::path::PathBuf;
use std::sync::Arc;

/// Maximum answer length if neither the caller nor the checkpoint specifies one.
const DEFAULT_MAX_NEW_TOKENS: usize = 256;

/// A loaded model with its processor. Clones share it, so that each thread or task can have its own handle.
#[derive(Clone)]
pub struct SmolVlm {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) engine: Arc<Engine>,
    /// Stops the work of this handle and of its clones.
    pub(crate) cancel: Cancel,
}

/// Shared state of a model's handles.
pub(crate) struct Loaded {
    pub(crate) config: ModelConfig,
    pub(crate) processor: Processor,
    pub(crate) network: Network,
    pub(crate) device: DeviceInfo,
    skipped_devices: Vec<Error>,
    handle: burn::tensor::Device,
    pub(crate) format: WeightFormat,
    report: LoadReport,
    files: Vec<PathBuf>,
    is_gguf: bool,
    pub(crate) features: FeatureCache,
    pub(crate) vision_batch: usize,
    /// Tokens whose keys and values all requests together may hold.
    pub(crate) kv_tokens: usize,
    /// Tokens of finished requests whose keys and values are kept.
    pub(crate) kept_tokens: usize,
    pub(crate) truncation: Truncation,
    pub(crate) constraints: Constraints,
    pub(crate) threads: Threads,
}

impl Loaded {
    /// Number of image tokens among the tokens of a prompt.
    pub(crate) fn image_tokens(&self, ids: &[u32]) -> usize {
        ids.iter().filter(|&&id| id == self.config.image_token_id).count()
    }
}

impl SmolVlm {
    /// Loads a checkpoint.
    ///
    /// # Errors
    ///
    /// Missing or corrupt files, tensors that are missing or have the wrong shape, an unavailable device, an
    /// unreachable Hub: each message names the file or repository and says what to do.
    pub fn load(source: Source, options: Options) -> Result<Self, Error> {
        Self::load_with_progress(source, options, &mut |_| {})
    }

    /// [`load`](Self::load) with download progress reported to `progress`.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_with_progress(
        source: Source,
        options: Options,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Self, Error> {
        // Unavailable devices, formats and folders are errors before anything is downloaded.
        let choice = DeviceChoice::new(options.device, options.dtype)?;
        let threads = Threads::new(options.threads)?;
        let cache = options.feature_cache.as_ref().map(CacheFolder::open).transpose()?;
        let checkpoint = source.open(&options.cancel, progress)?.with_adapters(&options.adapters)?;
        let processor = checkpoint.processor(&options)?;
        let config = checkpoint.config()?;
        let (prompt, model) = (processor.config().image_seq_len, config.image_seq_len());
        if prompt != model {
            return Err(Error::ImageTokens { prompt, model });
        }
        // The size in the format of the checkpoint counts.
        let weights = checkpoint.weights()?;
        let size = |format| estimate::weights(&config, resolve_format(options.dtype, format, weights.as_ref()));
        let DeviceChoice { found: device, format, skipped_devices, .. } = choice.with_room_for(size)?;
        let load = || checkpoint.model(&config, options.dtype, format, &device.handle, &options.cancel);
        let (model, report, format) = guarded(device.info.device, || {
            threads.compute(|| {
                let loaded = load()?;
                // GPUs copy asynchronously: wait, so that running out of memory is an error here.
                device.handle.sync().map_err(|error| smolvlm_model::Error::device(&error))?;
                Ok::<_, Error>(loaded)
            })
        })?;
        let kv_tokens = crate::admission::kv_tokens(&config, format, &device.info);
        let token_bytes = estimate::cache_bytes(&config, format, 1).max(1);
        let kept_tokens = (options.prefix_cache_bytes as u64 / token_bytes) as usize;
        let with_model = |cache: CacheFolder<'_>| {
            let fingerprint = threads.compute(|| fingerprint(&checkpoint, &config, format, &device.info))?;
            let shape = [config.image_seq_len(), config.text.hidden_size];
            cache.with_model(fingerprint, shape, (device.handle.clone(), model.activation_type()))
        };
        let disk = cache.map(with_model).transpose()?;
        let loaded = Loaded {
            config,
            processor,
            network: model,
            vision_batch: options.vision_batch_on(device.info.device),
            device: device.info,
            skipped_devices,
            handle: device.handle,
            format,
            report,
            files: checkpoint.files(),
            is_gguf: checkpoint.is_gguf(),
            features: FeatureCache::new(options.feature_cache_bytes, disk),
            kv_tokens,
            kept_tokens,
            truncation: options.truncation,
            constraints: Constraints::default(),
            threads,
        };
        let loaded = Arc::new(loaded);
        Ok(Self { engine: Arc::new(Engine::new(loaded.clone())), loaded, cancel: Cancel::new() })
    }

    /// Loads only a checkpoint's processor. Needs no weights and no device.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_processor(
        source: Source,
        options: &Options,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Processor, Error> {
        source.open(&options.cancel, progress)?.with_adapters(&options.adapters)?.processor(options)
    }

    /// A handle of the same model whose work `cancel` stops from elsewhere, at any stage. Work that is cancelled while
    /// its media are read fails with [`Error::Cancelled`]; generation ends at the next token, tile or chunk of the
    /// prompt, with the text so far and the reason [`Cancelled`](crate::FinishReason::Cancelled).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), smolvlm::Error> {
    /// # let model = smolvlm::SmolVlm::load(smolvlm::Source::demo(), smolvlm::Options::default())?;
    /// let cancel = smolvlm::Cancel::new();
    /// let timer = cancel.clone();
    /// std::thread::spawn(move || {
    ///     std::thread::sleep(std::time::Duration::from_secs(10));
    ///     timer.cancel();
    /// });
    /// let answer = model.with_cancel(&cancel).chat(smolvlm::Message::user().video("long.mp4").text("What happens?"))?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_cancel(&self, cancel: &Cancel) -> Self {
        Self { cancel: cancel.clone(), ..self.clone() }
    }

    /// The checkpoint's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.loaded.config
    }

    /// The processor: chat template, tokenizer, images.
    pub fn processor(&self) -> &Processor {
        &self.loaded.processor
    }

    /// The network, for custom generation loops.
    pub fn model(&self) -> &Network {
        &self.loaded.network
    }

    /// The device in use, which [`Device::Auto`](crate::Device::Auto) selects on loading.
    pub fn device(&self) -> &DeviceInfo {
        &self.loaded.device
    }

    /// Why [`Device::Auto`](crate::Device::Auto) skipped the devices that it prefers to this one, best first: not
    /// found, a software renderer, no support for the number format, or too little memory for the weights.
    pub fn skipped_devices(&self) -> &[Error] {
        &self.loaded.skipped_devices
    }

    /// The device's measured peak rates, on a CPU with [`Options::threads`] threads; none if the measurement fails.
    pub fn peak_rates(&self) -> Option<PeakRates> {
        if self.loaded.device.device != Device::Flex {
            return guarded(self.loaded.device.device, || Ok::<_, Error>(peak_rates(&self.loaded.handle)))
                .ok()
                .flatten();
        }
        Some(PeakRates::measure(self.loaded.threads.count()))
    }

    /// The format of the weights in memory, which [`Dtype::Auto`](crate::Dtype::Auto) selects for the device.
    pub fn format(&self) -> WeightFormat {
        self.loaded.format
    }

    /// Bytes of the weights in memory, computed from the configuration and the format.
    pub fn weight_bytes(&self) -> u64 {
        estimate::weights(&self.loaded.config, self.loaded.format)
    }

    /// Number of tiles that the vision encoder processes at a time: [`Options::vision_batch`](crate::Options), or the
    /// fastest one for the device.
    pub fn vision_batch(&self) -> usize {
        self.loaded.vision_batch
    }

    /// Whether the model has no vision encoder: a text model in GGUF without its mmproj file. Images and videos are
    /// errors.
    pub fn is_text_only(&self) -> bool {
        self.loaded.processor.is_text_only()
    }

    /// Whether the weights were read from GGUF files.
    pub fn is_gguf(&self) -> bool {
        self.loaded.is_gguf
    }

    /// Findings of loading, such as stored tensors that the model does not use.
    pub fn load_report(&self) -> &LoadReport {
        &self.loaded.report
    }

    /// The files that the model was read from, which must not be overwritten, as
    /// [`Checkpoint::files`](crate::Checkpoint::files) had them on loading.
    pub fn files(&self) -> &[PathBuf] {
        &self.loaded.files
    }

    /// The sampling parameters and end tokens of the checkpoint's `generation_config.json`; by default greedy and at
    /// most 256 new tokens.
    pub fn sampling(&self) -> SamplingParams {
        let params = SamplingParams::from_config(&self.loaded.config.generation);
        match (self.loaded.config.generation.max_new_tokens, self.loaded.config.generation.max_length) {
            (None, None) => params.max_new_tokens(DEFAULT_MAX_NEW_TOKENS),
            _ => params,
        }
    }

    /// Counts of the work of all requests so far.
    pub fn engine_stats(&self) -> EngineStats {
        self.engine.stats()
    }

    /// Answers a conversation with the checkpoint's own [`sampling`](Self::sampling) parameters.
    ///
    /// # Errors
    ///
    /// Unreadable media, a conversation that the template cannot render, a prompt longer than the model's context.
    pub fn chat(&self, conversation: impl Into<Conversation>) -> Result<Generation, Error> {
        self.generate(conversation.into(), self.sampling())
    }

    /// Answers a conversation, or continues a text; returns the best text if the parameters request several.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat), and out-of-range parameters.
    pub fn generate(&self, prompt: impl Into<Prompt>, params: SamplingParams) -> Result<Generation, Error> {
        // The best answer is the first.
        Ok(self.generate_all(prompt, params)?.swap_remove(0))
    }

    /// As [`generate`](Self::generate), with all `num_return_sequences` texts, the best one first.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn generate_all(&self, prompt: impl Into<Prompt>, params: SamplingParams) -> Result<Vec<Generation>, Error> {
        let prompt = prompt.into();
        submit::batch(self, &params, |params| self.process_prompt(&prompt, params))
    }

    /// Answers several conversations as one batch, with any mix of text, images and videos. Each answer is the same as
    /// without batching. Each conversation has `num_return_sequences` consecutive answers.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate); messages about a conversation include its index.
    pub fn batch(&self, conversations: &[Conversation], params: SamplingParams) -> Result<Vec<Generation>, Error> {
        submit::batch(self, &params, |params| self.process_recalled(conversations, params, &RenderOptions::answer()))
    }

    /// Answers prompts that were already processed, such as by [`Processor::process`] or
    /// [`Processor::process_inputs`], as one batch; each has `num_return_sequences` consecutive answers.
    ///
    /// # Errors
    ///
    /// A prompt longer than the model's context, and out-of-range parameters.
    pub fn generate_batch(&self, batch: Batch, params: SamplingParams) -> Result<Vec<Generation>, Error> {
        submit::batch(self, &params, |params| {
            let prompts: Vec<usize> = (0..batch.rows).map(|row| batch.prompt_len(row)).collect();
            self.admit(&prompts, params)?;
            Ok(batch.into())
        })
    }

    /// Answers a conversation, or continues a text, as a stream of text.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate), and [`Error::SingleAnswerOnly`] for beams or several texts; later errors are
    /// items of the stream.
    pub fn stream(&self, prompt: impl Into<Prompt>, params: SamplingParams) -> Result<Stream, Error> {
        if !params.is_streamable() {
            return Err(Error::SingleAnswerOnly);
        }
        let prompt = prompt.into();
        let model = self.with_cancel(&self.cancel.child());
        let mut tickets = submit::submit(&model, &params, |params| model.process_prompt(&prompt, params))?;
        Ok(Stream::new(tickets.swap_remove(0), model.cancel))
    }

    /// Starts a multi-turn conversation from a history, which may be empty.
    pub fn start_chat(&self, history: impl Into<Conversation>) -> Chat {
        Chat::new(self.clone(), history.into())
    }

    /// Computes the last hidden states of conversations as one left-padded batch. Prompts end with the generation
    /// prompt (`Assistant:`).
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn hidden_states(&self, conversations: &[Conversation]) -> Result<Vec<HiddenStates>, Error> {
        crate::hidden::run(self, conversations)
    }

    /// Runs one forward pass over the conversations as a left-padded batch; returns the logits and, on request,
    /// intermediate outputs.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn forward(&self, conversations: &[Conversation], request: ForwardRequest) -> Result<Forward, Error> {
        crate::forward::run(self, conversations, request)
    }

    pub(crate) fn generation(&self) -> &GenerationConfig {
        &self.loaded.config.generation
    }

    /// Runs a closure on this model's thread pool, which has [`Options::threads`] threads. Custom loops around
    /// [`model`](Self::model) should run each forward pass in it. Concurrent calls run one at a time in FIFO order, so
    /// the closure must not wait for such a call of another thread, and cannot generate.
    ///
    /// # Errors
    ///
    /// Those of the closure, and panics of a GPU backend.
    pub fn on_threads<T, E>(&self, work: impl FnOnce() -> Result<T, E> + Send) -> Result<T, E>
    where
        T: Send,
        E: From<smolvlm_model::Error> + Send,
    {
        guarded(self.loaded.device.device, || self.loaded.threads.compute(work))
    }
}
