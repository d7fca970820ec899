//! An opened source: a checkpoint's files, or the parameters of a random one.

use crate::adapter::base_source;
use crate::checkpoint_files::{CONFIG, MODEL, PROCESSOR, WEIGHTS, WEIGHTS_INDEX, has_files};
use crate::options::resolve_format;
use crate::{Adapter, Cancel, Dtype, Error, Options, Progress, Source, checkpoint_files, gguf, missing_files};
use smolvlm_checkpoint::{ADAPTER_CONFIG, GgufModel, PeftAdapter, PeftConfig, Weights};
use smolvlm_config::{GenerationConfig, ModelConfig, Preset, ProcessorConfig};
use smolvlm_model::{LoadReport, Network, WeightFormat};
use smolvlm_processor::{ChatTemplate, Processor, synthetic_tokenizer};
use std::path::{Path, PathBuf};

/// Maximum length of a chain of adapters from the first one to the base model.
const MAX_ADAPTER_DEPTH: usize = 8;

/// The seed of [`Source::Random`].
pub(crate) const RANDOM_SEED: u64 = 0;

/// An opened source, for loading its parts one by one. [`SmolVlm::load`](crate::SmolVlm::load) loads all of them at
/// once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Checkpoint {
    /// A folder.
    Directory(PathBuf),
    /// Files in GGUF.
    Gguf {
        /// The text model.
        text: PathBuf,
        /// Vision encoder and connector; without them, the model takes text only.
        mmproj: Option<PathBuf>,
    },
    /// The embedded demo model.
    #[cfg(feature = "demo")]
    Demo,
    /// Random weights at a preset's size.
    Random(Preset),
    /// A checkpoint with adapters to merge.
    Adapted {
        /// The checkpoint.
        base: Box<Checkpoint>,
        /// The adapters, in the order in which they are merged.
        adapters: Vec<Adapter>,
        /// Folder of the processor's files, if different from the checkpoint's.
        processor: Option<PathBuf>,
    },
}

impl Source {
    /// Opens the source, downloading it if necessary. A folder with an adapter is opened as its base model with the
    /// adapter; the processor is the adapter's if the folder contains its files.
    ///
    /// # Errors
    ///
    /// Errors of the Hub; [`Error::Cancelled`] if `cancel` was cancelled; [`Error::NoHub`] and [`Error::NoDemo`] if the
    /// build lacks the feature that the source needs; errors of an adapter's configuration and base model. The files of
    /// other folders are not read yet.
    pub fn open(self, cancel: &Cancel, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Checkpoint, Error> {
        self.open_base(0, cancel, progress)
    }

    /// Opens the source as the base model of `depth` nested adapters.
    fn open_base(
        self,
        depth: usize,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Checkpoint, Error> {
        match self {
            Self::Directory(path) => open_folder(path, depth, cancel, progress),
            Self::Gguf { text, mmproj } => Ok(Checkpoint::Gguf { text, mmproj }),
            Self::Random(preset) => Ok(Checkpoint::Random(preset)),
            #[cfg(feature = "demo")]
            Self::Demo => Ok(Checkpoint::Demo),
            #[cfg(not(feature = "demo"))]
            Self::Demo => Err(Error::NoDemo),
            #[cfg(feature = "hub")]
            Self::Hub { repo, revision } => {
                let folder = crate::hub::download(&repo, revision.as_deref(), cancel, progress)?;
                open_folder(folder, depth, cancel, progress)
            }
            #[cfg(feature = "hub")]
            Self::HubGguf { repo, revision, kind } => {
                let files = crate::hub::download_gguf(&repo, revision.as_deref(), kind.as_deref(), cancel, progress)?;
                Ok(Checkpoint::Gguf { text: files.text, mmproj: files.mmproj })
            }
            #[cfg(not(feature = "hub"))]
            Self::Hub { repo, .. } | Self::HubGguf { repo, .. } => {
                let _ = (cancel, progress);
                Err(Error::NoHub { repo })
            }
        }
    }
}

/// Opens a folder with a model, an adapter, or both. GGUF files are the model of a folder without safetensors. As in
/// transformers, an adapter is always applied.
fn open_folder(
    path: PathBuf,
    depth: usize,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Checkpoint, Error> {
    let has_model = has_files(&path, &[&[CONFIG], &[WEIGHTS, WEIGHTS_INDEX]]);
    if !path.join(ADAPTER_CONFIG).is_file() {
        let gguf = if has_model { None } else { gguf::in_folder(&path)? };
        return Ok(match gguf {
            Some((text, mmproj)) => Checkpoint::Gguf { text, mmproj },
            None => Checkpoint::Directory(path),
        });
    }
    if depth >= MAX_ADAPTER_DEPTH {
        return Err(Error::AdapterDepth { folder: path, limit: MAX_ADAPTER_DEPTH });
    }
    let config = PeftConfig::read(&path)?;
    if has_model {
        return Checkpoint::Directory(path.clone()).with_adapters(&[Adapter::new(path)]);
    }
    let base = base_source(&config, &path)?.open_base(depth + 1, cancel, progress)?;
    let processor = has_files(&path, PROCESSOR).then(|| path.clone());
    Ok(Checkpoint::Adapted { base: Box::new(base), adapters: vec![Adapter::new(path)], processor })
}

impl Checkpoint {
    /// Adds adapters to those that the checkpoint already has.
    ///
    /// # Errors
    ///
    /// An adapter's configuration that cannot be read or is not supported, [`Error::AdapterOfRandom`].
    pub fn with_adapters(self, more: &[Adapter]) -> Result<Self, Error> {
        if more.is_empty() {
            return Ok(self);
        }
        more.iter().try_for_each(|adapter| PeftConfig::read(&adapter.folder).map(drop))?;
        Ok(match self {
            Self::Random(_) => return Err(Error::AdapterOfRandom),
            Self::Adapted { base, mut adapters, processor } => {
                adapters.extend_from_slice(more);
                Self::Adapted { base, adapters, processor }
            }
            base => Self::Adapted { base: Box::new(base), adapters: more.to_vec(), processor: None },
        })
    }

    /// Whether the model has no vision encoder: a text model in GGUF without its mmproj file.
    pub fn is_text_only(&self) -> bool {
        match self {
            Self::Gguf { mmproj, .. } => mmproj.is_none(),
            Self::Adapted { base, .. } => base.is_text_only(),
            _ => false,
        }
    }

    /// Whether the model's weights are GGUF files.
    pub fn is_gguf(&self) -> bool {
        match self {
            Self::Gguf { .. } => true,
            Self::Adapted { base, .. } => base.is_gguf(),
            _ => false,
        }
    }

    /// The folders that the checkpoint is read from: those of the base model and of all adapters.
    pub fn folders(&self) -> Vec<&Path> {
        match self {
            Self::Directory(path) => vec![path.as_path()],
            Self::Gguf { text, mmproj } => gguf::folders(text, mmproj.as_deref()),
            Self::Adapted { base, adapters, processor } => {
                let adapters = adapters.iter().map(|adapter| adapter.folder.as_path());
                base.folders().into_iter().chain(adapters).chain(processor.as_deref()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The files that the checkpoint is read from, sorted: GGUF files, and the checkpoint's files in folders, those of
    /// adapters included.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = match self {
            Self::Directory(path) => checkpoint_files::in_folder(path),
            Self::Gguf { text, mmproj } => std::iter::once(text).chain(mmproj).cloned().collect(),
            Self::Adapted { base, adapters, processor } => {
                let folders = adapters.iter().map(|adapter| &adapter.folder).chain(processor);
                let files = folders.flat_map(|folder| checkpoint_files::in_folder(folder));
                base.files().into_iter().chain(files).collect()
            }
            _ => Vec::new(),
        };
        files.sort();
        files.dedup();
        files
    }

    /// The model's configuration, including its generation parameters.
    ///
    /// # Errors
    ///
    /// Missing or invalid files.
    pub fn config(&self) -> Result<ModelConfig, Error> {
        if let Self::Directory(path) = self {
            missing_files::check(path, MODEL)?;
        }
        let mut config = match self {
            Self::Adapted { base, .. } => return base.config(),
            Self::Directory(path) => ModelConfig::from_directory(path)?,
            // With its generation parameters.
            Self::Gguf { text, mmproj } => return Ok(GgufModel::open(text, mmproj.as_ref())?.config()?),
            #[cfg(feature = "demo")]
            Self::Demo => ModelConfig::from_json(smolvlm_demo::CONFIG)?,
            Self::Random(preset) => preset.model(),
        };
        config.generation = self.generation(&config)?;
        Ok(config)
    }

    fn generation(&self, config: &ModelConfig) -> Result<GenerationConfig, Error> {
        Ok(match self {
            Self::Adapted { base, .. } => base.generation(config)?,
            Self::Directory(path) => GenerationConfig::from_directory(path, config)?,
            Self::Gguf { .. } => config.generation.clone(),
            #[cfg(feature = "demo")]
            Self::Demo => GenerationConfig::from_json(smolvlm_demo::GENERATION_CONFIG)?,
            Self::Random(preset) => preset.generation(),
        })
    }

    /// The processor, with the options for images and videos applied.
    ///
    /// # Errors
    ///
    /// Missing or invalid files, contradictory options.
    pub fn processor(&self, options: &Options) -> Result<Processor, Error> {
        if let Self::Directory(path) = self {
            missing_files::check(path, PROCESSOR)?;
        }
        let processor = match self {
            Self::Adapted { base, processor: None, .. } => return base.processor(options),
            Self::Directory(path) | Self::Adapted { processor: Some(path), .. } => Processor::from_directory(path)?,
            Self::Gguf { text, mmproj } => gguf::processor(text, mmproj.as_deref())?,
            #[cfg(feature = "demo")]
            Self::Demo => demo_processor()?,
            Self::Random(preset) => random_processor(*preset)?,
        };
        // That of an adapter may take images although its base model has no vision encoder.
        let processor =
            if self.is_text_only() && !processor.is_text_only() { text_only(&processor)? } else { processor };
        let mut config = processor.config().clone();
        if let Some(splitting) = options.image_splitting {
            config.image.do_image_splitting = splitting;
        }
        config.image.resize_policy = options.resize;
        config.video.fps = options.video_fps.or(config.video.fps);
        config.video.num_frames = options.video_frames.or(config.video.num_frames);
        config.video.validate()?;
        let processor = if config == *processor.config() { processor } else { processor.with_config(config)? };
        let mut limits = options.limits.clone();
        limits.video.threads = limits.video.threads.or(options.threads);
        Ok(processor
            .with_limits(limits)
            .with_media_policy(options.media_policy.clone())
            .with_video_prompt_style(options.video_prompt_style)
            .sampling_images(options.video_frames.is_some())
            .sanitizing_control_tokens(options.sanitize_control_tokens))
    }

    /// The weights, with adapters merged on reading; none for a random model.
    ///
    /// # Errors
    ///
    /// Missing or invalid files.
    pub fn weights(&self) -> Result<Option<Weights>, Error> {
        Ok(match self {
            Self::Directory(path) => Some(Weights::open(path)?),
            Self::Gguf { text, mmproj } => Some(GgufModel::open(text, mmproj.as_ref())?.into_weights()?),
            #[cfg(feature = "demo")]
            Self::Demo => Some(Weights::from_bytes(smolvlm_demo::WEIGHTS)?),
            Self::Random(_) => None,
            Self::Adapted { base, adapters, .. } => {
                let weights = base.weights()?.ok_or(Error::AdapterOfRandom)?;
                let open = |adapter: &Adapter| Ok((PeftAdapter::open(&adapter.folder)?, adapter.weight));
                let adapters = adapters.iter().map(open).collect::<Result<Vec<_>, Error>>()?;
                Some(weights.with_adapters(&base.config()?, adapters)?)
            }
        })
    }

    /// The model with weights in `format`, as [`resolve_format`] changes it.
    pub(crate) fn model(
        &self,
        config: &ModelConfig,
        dtype: Dtype,
        format: WeightFormat,
        device: &burn::tensor::Device,
        cancel: &Cancel,
    ) -> Result<(Network, LoadReport, WeightFormat), Error> {
        let is_cancelled = || cancel.is_cancelled();
        match self.weights()? {
            Some(weights) => {
                let format = resolve_format(dtype, format, Some(&weights));
                let (model, report) = Network::load_until(config, &weights, device, format, &is_cancelled)?;
                Ok((model, report, format))
            }
            None => {
                let format = resolve_format(dtype, format, None);
                let model = Network::random_until(config, RANDOM_SEED, device, format, &is_cancelled)?;
                Ok((model, LoadReport::default(), format))
            }
        }
    }
}

#[cfg(feature = "demo")]
fn demo_processor() -> Result<Processor, Error> {
    let config = ProcessorConfig::from_json(smolvlm_demo::PROCESSOR_CONFIG)?;
    let tokenizer = smolvlm_processor::tokenizer_from_json(smolvlm_demo::TOKENIZER)?;
    Ok(Processor::new(config, tokenizer, Some(smolvlm_demo::CHAT_TEMPLATE.to_owned()))?)
}

/// The processor for a model without vision encoder.
fn text_only(processor: &Processor) -> Result<Processor, Error> {
    Ok(Processor::text_only(
        processor.config().clone(),
        processor.tokenizer().clone(),
        processor.special_tokens().clone(),
        processor.template().map(ChatTemplate::source),
        processor.limits().clone(),
    )?)
}

/// The processor of random weights at a preset's size.
pub(crate) fn random_processor(preset: Preset) -> Result<Processor, Error> {
    let config: ProcessorConfig = preset.processor();
    let tokenizer = synthetic_tokenizer(preset.model().text.vocab_size)?;
    Ok(Processor::new(config, tokenizer, None)?)
}
