//! The model as a user holds it.

use crate::forward::{Forward, ForwardRequest};
use crate::run::Run;
use crate::{Dtype, Error, Generation, Options, Progress, Source, Stream};
use burn::tensor::Tensor;
use smolvlm_config::{FloatType, GenerationConfig, ModelConfig};
use smolvlm_generate::SamplingParams;
use smolvlm_model::{ImageFeatures, LoadReport, ModelInputs, SmolVlmModel};
use smolvlm_processor::{Batch, Conversation, Processor};

/// Longest answer when neither the caller nor the checkpoint says.
const DEFAULT_MAX_NEW_TOKENS: usize = 256;

/// A loaded model with its processor. All methods take `&self`; a `SmolVlm` can be shared between threads.
pub struct SmolVlm {
    pub(crate) config: ModelConfig,
    pub(crate) processor: Processor,
    pub(crate) model: SmolVlmModel,
    report: LoadReport,
    generation: GenerationConfig,
    vision_batch: usize,
    threads: Option<rayon::ThreadPool>,
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
        let device = options.device.resolve()?;
        let threads = options.threads.map(thread_pool).transpose()?;
        let checkpoint = source.open(progress)?;
        let processor = checkpoint.processor(&options)?;
        let config = checkpoint.config()?;
        let generation = checkpoint.generation(&config)?;
        let (prompt, model) = (processor.config().image_seq_len, config.image_seq_len());
        if prompt != model {
            return Err(Error::ImageTokens { prompt, model });
        }
        let dtype = options.dtype.on_device();
        let load = || checkpoint.model(&config, &device, dtype);
        let (model, report) = match &threads {
            Some(pool) => pool.install(load)?,
            None => load()?,
        };
        let vision_batch = options.vision_batch.max(1);
        Ok(Self { config, processor, model, report, generation, vision_batch, threads })
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
        source.open(progress)?.processor(options)
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

    /// What loading found besides the weights it used, such as stored tensors that no part of the model needs.
    pub fn load_report(&self) -> &LoadReport {
        &self.report
    }

    /// The sampling parameters that the checkpoint asks for: greedy, its end tokens, and at most 256 new tokens unless
    /// its `generation_config.json` says otherwise.
    pub fn sampling(&self) -> SamplingParams {
        let params = SamplingParams::from_config(&self.generation);
        match self.generation.max_new_tokens {
            Some(_) => params,
            None => params.max_new_tokens(DEFAULT_MAX_NEW_TOKENS),
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

    /// Answers a conversation.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat), and parameters out of range.
    pub fn generate(&self, conversation: impl Into<Conversation>, params: SamplingParams) -> Result<Generation, Error> {
        let mut answers = self.batch(&[conversation.into()], params)?;
        // One conversation in, one answer out.
        Ok(answers.swap_remove(0))
    }

    /// Answers several conversations at once: text only, with one image, with several, in any mix. Each answer is the
    /// one that its conversation gets alone.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate); messages name the conversation by its index.
    pub fn batch(&self, conversations: &[Conversation], params: SamplingParams) -> Result<Vec<Generation>, Error> {
        self.on_threads(|| {
            let mut run = Run::start(self, conversations, &params)?;
            while !run.is_finished() {
                run.step()?;
            }
            Ok(run.into_generations())
        })
    }

    /// Answers a conversation piece by piece.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate); what goes wrong later comes out of the stream.
    pub fn stream(&self, conversation: impl Into<Conversation>, params: SamplingParams) -> Result<Stream<'_>, Error> {
        let conversation = conversation.into();
        let run = self.on_threads(|| Run::start(self, &[conversation], &params))?;
        Ok(Stream::new(self, run))
    }

    /// Runs the model once over the conversations, padded on the left to one length, and gives its logits and, on
    /// request, its inner stages.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn forward(&self, conversations: &[Conversation], request: ForwardRequest) -> Result<Forward, Error> {
        self.on_threads(|| crate::forward::run(self, conversations, request))
    }

    pub(crate) fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// Features of all images of a batch.
    pub(crate) fn image_features(&self, batch: &Batch, stages: bool) -> Result<Option<ImageFeatures>, Error> {
        let images: Vec<&[f32]> = batch.tiles().map(|tiles| tiles.pixels.as_slice()).collect();
        if images.is_empty() {
            return Ok(None);
        }
        Ok(self.model.image_features(&images, batch.edge, self.vision_batch, stages)?)
    }

    /// A batch as the model takes it.
    pub(crate) fn inputs(&self, batch: &Batch, features: Option<Tensor<2>>) -> ModelInputs {
        let padding = (0..batch.rows).map(|row| batch.len - batch.prompt_len(row)).collect();
        ModelInputs { input_ids: batch.input_ids.clone(), padding, features }
    }

    /// Does work on this model's own threads.
    pub(crate) fn on_threads<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.threads {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

impl Dtype {
    /// The format used when the weights lie on a CPU: `auto` is f32 there, since Burn's CPU backend converts every
    /// half-precision operand on every call.
    fn on_device(self) -> FloatType {
        match self {
            Self::Auto | Self::F32 => FloatType::F32,
            Self::Bf16 => FloatType::Bf16,
            Self::F16 => FloatType::F16,
        }
    }
}

fn thread_pool(threads: usize) -> Result<rayon::ThreadPool, Error> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Error::Threads { threads, message: error.to_string() })
}
