//! An opened source: a checkpoint's files, or the parameters of a random one.

use crate::adapter::base_source;
use crate::checkpoint_folder::{WEIGHTS, replace};
use crate::options::resolve_format;
use crate::{Adapter, Cancel, Dtype, Error, Options, Progress, Source, folder};
use smolvlm_checkpoint::{ADAPTER_CONFIG, PeftAdapter, PeftConfig, Weights};
#[cfg(feature = "flex")]
use smolvlm_checkpoint::{QuantizedSource, write_quantized_weights};
use smolvlm_config::{FloatType, GenerationConfig, ModelConfig, Preset, ProcessorConfig};
#[cfg(feature = "flex")]
use smolvlm_kernels::PackedFormat;
use smolvlm_model::{LoadReport, Network, WeightFormat};
use smolvlm_processor::{Processor, synthetic_tokenizer};
use std::path::{Path, PathBuf};

/// Maximum length of a chain of adapters from the first one to the base model.
const MAX_ADAPTER_DEPTH: usize = 8;

/// The seed of [`Source::Random`].
const RANDOM_SEED: u64 = 0;

/// An opened source, for loading its parts one by one. [`SmolVlm::load`](crate::SmolVlm::load) loads all of them at
/// once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Checkpoint {
    /// A folder.
    Directory(PathBuf),
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
    /// Errors of the Hub; [`Error::Cancelled`] once `cancel` was; [`Error::NoHub`] and [`Error::NoDemo`] if the build lacks the feature that the source needs;
    /// errors of an adapter's configuration and base model. The files of other folders are not read yet.
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
            #[cfg(not(feature = "hub"))]
            Self::Hub { repo, .. } => {
                let _ = (cancel, progress);
                Err(Error::NoHub { repo })
            }
        }
    }
}

/// Opens a folder with a model, an adapter, or both. As in transformers, an adapter is always applied.
fn open_folder(
    path: PathBuf,
    depth: usize,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Checkpoint, Error> {
    if !path.join(ADAPTER_CONFIG).is_file() {
        return Ok(Checkpoint::Directory(path));
    }
    if depth >= MAX_ADAPTER_DEPTH {
        return Err(Error::AdapterDepth { folder: path, limit: MAX_ADAPTER_DEPTH });
    }
    let has = |name: &str| path.join(name).is_file();
    let config = PeftConfig::read(&path)?;
    if has("config.json") && (has(WEIGHTS) || has("model.safetensors.index.json")) {
        return Checkpoint::Directory(path.clone()).with_adapters(&[Adapter::new(path)]);
    }
    let base = base_source(&config, &path)?.open_base(depth + 1, cancel, progress)?;
    let own = has("tokenizer.json") && (has("processor_config.json") || has("preprocessor_config.json"));
    let processor = own.then(|| path.clone());
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

    /// The folders that the checkpoint is read from: those of the base model and of all adapters.
    pub fn folders(&self) -> Vec<&Path> {
        match self {
            Self::Directory(path) => vec![path.as_path()],
            Self::Adapted { base, adapters, processor } => {
                let adapters = adapters.iter().map(|adapter| adapter.folder.as_path());
                base.folders().into_iter().chain(adapters).chain(processor.as_deref()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The model's configuration, including its generation parameters.
    ///
    /// # Errors
    ///
    /// Missing or invalid files.
    pub fn config(&self) -> Result<ModelConfig, Error> {
        if let Self::Directory(path) = self {
            folder::check(path, folder::MODEL)?;
        }
        let mut config = match self {
            Self::Adapted { base, .. } => return base.config(),
            Self::Directory(path) => ModelConfig::from_directory(path)?,
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
            folder::check(path, folder::PROCESSOR)?;
        }
        let processor = match self {
            Self::Adapted { base, processor: None, .. } => return base.processor(options),
            Self::Directory(path) | Self::Adapted { processor: Some(path), .. } => Processor::from_directory(path)?,
            #[cfg(feature = "demo")]
            Self::Demo => demo_processor()?,
            Self::Random(preset) => random_processor(*preset)?,
        };
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

    /// The model with weights in `format`; with [`Dtype::Auto`], packed weights keep the format of a quantized file.
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
                let format = resolve_format(dtype, format, weights.quantized());
                let (model, report) = Network::load_until(config, &weights, device, format, &is_cancelled)?;
                Ok((model, report, format))
            }
            None => {
                let model = Network::random_until(config, RANDOM_SEED, device, format, &is_cancelled)?;
                Ok((model, LoadReport::default(), format))
            }
        }
    }
}

/// Writes a checkpoint folder at a preset's size with random weights and a synthetic tokenizer, in the layout of the
/// released checkpoints: for tests and benchmarks when no real checkpoint is available. [`Dtype::Auto`] is bf16. An
/// existing checkpoint in the folder is replaced completely: all files for which
/// [`is_checkpoint_file`](crate::is_checkpoint_file) is true.
///
/// # Errors
///
/// A folder or file that cannot be written; the folder is then unchanged.
pub fn write_random_checkpoint(preset: Preset, dtype: Dtype, seed: u64, folder: &Path) -> Result<(), Error> {
    let float = match dtype {
        Dtype::F32 => FloatType::F32,
        Dtype::F16 => FloatType::F16,
        Dtype::Auto | Dtype::Bf16 => FloatType::Bf16,
        Dtype::Q8 | Dtype::Q4 => {
            let legal = "auto, f32, bf16 or f16: weights are stored in these formats and quantized on loading";
            return Err(Error::Option { option: "dtype", value: format!("{dtype:?}").to_lowercase(), legal });
        }
    };
    replace(folder, |folder| {
        let model = write_small_files(preset, float, folder)?;
        Ok(smolvlm_checkpoint::write_random_weights(&model, seed, float, folder.join(WEIGHTS))?)
    })
}

/// Writes all files of a random checkpoint except its weights.
fn write_small_files(preset: Preset, float: FloatType, folder: &Path) -> Result<ModelConfig, Error> {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| Error::Write { path, source })
    };
    let mut model = preset.model();
    model.dtype = Some(float);
    write("config.json", model.to_json())?;
    write("processor_config.json", preset.processor().to_json())?;
    write("generation_config.json", preset.generation().to_json())?;
    random_processor(preset)?.save_tokenizer(folder)?;
    Ok(model)
}

/// Writes a checkpoint folder with quantized matrices, the same as [`Dtype::Q8`] or [`Dtype::Q4`] would produce on
/// loading: a smaller file that loads faster. Adapters are merged first. The source's other files are copied. An
/// existing checkpoint in the folder is replaced, as by [`write_random_checkpoint`].
///
/// # Errors
///
/// Another format, a source whose weights do not match its configuration, the source's own folder, a folder or file
/// that cannot be written; the folder is then unchanged.
#[cfg(feature = "flex")]
pub fn quantize(
    source: Source,
    adapters: &[Adapter],
    dtype: Dtype,
    folder: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Error> {
    let format = match dtype {
        Dtype::Q8 => PackedFormat::Q8,
        Dtype::Q4 => PackedFormat::Q4,
        _ => {
            let value = format!("{dtype:?}").to_lowercase();
            return Err(Error::Option { option: "dtype", value, legal: "q8 or q4" });
        }
    };
    let checkpoint = source.open(&Cancel::new(), progress)?.with_adapters(adapters)?;
    if checkpoint.folders().iter().any(|from| smolvlm_files::is_same_file(from, folder)) {
        let source = std::io::Error::other("this folder contains the source checkpoint; choose another folder");
        return Err(Error::Write { path: folder.into(), source });
    }
    let (config, weights) = (checkpoint.config()?, checkpoint.weights()?);
    let source = weights.as_ref().map_or(QuantizedSource::Random(RANDOM_SEED), QuantizedSource::Weights);
    replace(folder, |folder| {
        write_other_files(&checkpoint, folder)?;
        Ok(write_quantized_weights(&config, &source, format, folder.join(WEIGHTS))?)
    })
}

/// Writes all files of a checkpoint except its weights.
#[cfg(feature = "flex")]
fn write_other_files(checkpoint: &Checkpoint, folder: &Path) -> Result<(), Error> {
    match checkpoint {
        Checkpoint::Random(preset) => {
            write_small_files(*preset, FloatType::Bf16, folder)?;
        }
        #[cfg(feature = "demo")]
        Checkpoint::Demo => {
            smolvlm_demo::write_small_files(folder).map_err(|source| Error::Write { path: folder.into(), source })?;
        }
        Checkpoint::Directory(from) => copy_small_files(from, folder, |name| name != ADAPTER_CONFIG)?,
        Checkpoint::Adapted { base, processor, .. } => {
            write_other_files(base, folder)?;
            if let Some(from) = processor {
                // Remove the base's files first: the same setting may be in another file.
                for name in PROCESSOR_FILES.iter().map(|name| folder.join(name)).filter(|path| path.exists()) {
                    std::fs::remove_file(&name).map_err(|source| Error::Write { path: name, source })?;
                }
                copy_small_files(from, folder, |name| PROCESSOR_FILES.contains(&name))?;
            }
        }
    }
    Ok(())
}

/// Files of a processor.
#[cfg(feature = "flex")]
const PROCESSOR_FILES: [&str; 8] = [
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
];

/// Copies the files of a folder that are `wanted` and contain no weights.
#[cfg(feature = "flex")]
fn copy_small_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), Error> {
    let write = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    for entry in std::fs::read_dir(from).map_err(write(from))? {
        let path = entry.map_err(write(from))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let heavy = [".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".onnx", ".gguf"];
        if path.is_file() && wanted(&name) && !name.starts_with('.') && !heavy.iter().any(|end| name.ends_with(end)) {
            // `fs::copy` would copy the permissions, too, and the file could be read-only.
            let copy = to.join(&name);
            let mut file = std::fs::File::create(&copy).map_err(write(&copy))?;
            std::io::copy(&mut std::fs::File::open(&path).map_err(write(&path))?, &mut file).map_err(write(&copy))?;
        }
    }
    Ok(())
}

#[cfg(feature = "demo")]
fn demo_processor() -> Result<Processor, Error> {
    let config = ProcessorConfig::from_json(smolvlm_demo::PROCESSOR_CONFIG)?;
    let tokenizer = smolvlm_processor::tokenizer_from_json(smolvlm_demo::TOKENIZER)?;
    Ok(Processor::new(config, tokenizer, Some(smolvlm_demo::CHAT_TEMPLATE.to_owned()))?)
}

fn random_processor(preset: Preset) -> Result<Processor, Error> {
    let config: ProcessorConfig = preset.processor();
    let tokenizer = synthetic_tokenizer(preset.model().text.vocab_size)?;
    Ok(Processor::new(config, tokenizer, None)?)
}
