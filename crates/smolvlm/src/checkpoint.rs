//! A source that has been found: its files, or the recipe for random ones.

use crate::adapter::base_source;
use crate::checkpoint_folder::{WEIGHTS, replace};
use crate::options::format_of;
use crate::{Adapter, Dtype, Error, Options, Progress, Source, folder};
use smolvlm_config::{FloatType, GenerationConfig, ModelConfig, Preset, ProcessorConfig};
#[cfg(feature = "flex")]
use smolvlm_kernels::Format;
use smolvlm_model::{ADAPTER_CONFIG, LoadReport, PeftAdapter, PeftConfig, SmolVlmModel, WeightFormat, Weights};
#[cfg(feature = "flex")]
use smolvlm_model::{QuantizedSource, write_quantized_checkpoint};
use smolvlm_processor::{Processor, synthetic_tokenizer};
use std::path::{Path, PathBuf};

/// Adapters of adapters that are followed to their base model.
const MAX_DEPTH: usize = 8;

/// The seed of [`Source::Random`].
const SEED: u64 = 0;

/// A source that has been found: its parts, for those who want them one by one. [`SmolVlm::load`](crate::SmolVlm::load) is
/// all of them at once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Checkpoint {
    /// A folder.
    Directory(PathBuf),
    /// The trained model that is part of the program.
    #[cfg(feature = "demo")]
    Demo,
    /// Random weights of a size.
    Random(Preset),
    /// A checkpoint whose weights get adapters.
    Adapted {
        /// The checkpoint.
        base: Box<Checkpoint>,
        /// The adapters, in the order in which they are merged.
        adapters: Vec<Adapter>,
        /// Folder of the processor's files, if it is another one than the checkpoint's.
        processor: Option<PathBuf>,
    },
}

impl Source {
    /// Finds the source, downloading it if need be. A folder that holds an adapter stands for its base model with the adapter;
    /// the processor is the adapter's if the folder has its files.
    ///
    /// # Errors
    ///
    /// The hub's; [`Error::NoHub`] and [`Error::NoDemo`] when the build lacks what the source needs; those of an adapter's
    /// configuration and base model. Other folders are not looked into yet.
    pub fn open(self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Checkpoint, Error> {
        self.open_base(0, progress)
    }

    /// Opens the source as the base model of so many adapters.
    fn open_base(self, depth: usize, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Checkpoint, Error> {
        match self {
            Self::Directory(path) => open_folder(path, depth, progress),
            Self::Random(preset) => Ok(Checkpoint::Random(preset)),
            #[cfg(feature = "demo")]
            Self::Demo => Ok(Checkpoint::Demo),
            #[cfg(not(feature = "demo"))]
            Self::Demo => Err(Error::NoDemo),
            #[cfg(feature = "hub")]
            Self::Hub { repo, revision } => {
                open_folder(crate::hub::download(&repo, revision.as_deref(), progress)?, depth, progress)
            }
            #[cfg(not(feature = "hub"))]
            Self::Hub { repo, .. } => {
                let _ = progress;
                Err(Error::NoHub { repo })
            }
        }
    }
}

/// A folder: a model, an adapter, or a model and its adapter. As transformers does, the adapter counts in any case.
fn open_folder(path: PathBuf, depth: usize, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Checkpoint, Error> {
    if !path.join(ADAPTER_CONFIG).is_file() {
        return Ok(Checkpoint::Directory(path));
    }
    if depth >= MAX_DEPTH {
        return Err(Error::AdapterDepth { folder: path, limit: MAX_DEPTH });
    }
    let has = |name: &str| path.join(name).is_file();
    let config = PeftConfig::read(&path)?;
    if has("config.json") && (has(WEIGHTS) || has("model.safetensors.index.json")) {
        return Checkpoint::Directory(path.clone()).with_adapters(&[Adapter::new(path)]);
    }
    let base = base_source(&config, &path)?.open_base(depth + 1, progress)?;
    let own = has("tokenizer.json") && (has("processor_config.json") || has("preprocessor_config.json"));
    let processor = own.then(|| path.clone());
    Ok(Checkpoint::Adapted { base: Box::new(base), adapters: vec![Adapter::new(path)], processor })
}

impl Checkpoint {
    /// The same checkpoint with adapters, beside those that it has already.
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

    /// The folders that it is read from: of a model with adapters, the base model's and all of theirs.
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

    /// The model's configuration, with its generation parameters.
    ///
    /// # Errors
    ///
    /// Files that are missing or wrong.
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

    /// The processor, with what the options say of images and videos.
    ///
    /// # Errors
    ///
    /// Files that are missing or wrong, options that contradict each other.
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
            .with_video_words(options.video_words)
            .sampling_images(options.video_frames.is_some())
            .sanitizing_control_tokens(options.sanitize_control_tokens))
    }

    /// The weights, with adapters merged in as they are read; none of a random model.
    ///
    /// # Errors
    ///
    /// Files that are missing or wrong.
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

    /// The model in the format that `dtype` means on the device; packed weights are automatically in the file's own, if it is
    /// quantized.
    pub(crate) fn model(
        &self,
        config: &ModelConfig,
        dtype: Dtype,
        format: WeightFormat,
        device: &burn::tensor::Device,
    ) -> Result<(SmolVlmModel, LoadReport, WeightFormat), Error> {
        match self.weights()? {
            Some(weights) => {
                let format = format_of(dtype, format, weights.quantized());
                let (model, report) = SmolVlmModel::load(config, &weights, device, format)?;
                Ok((model, report, format))
            }
            None => {
                let model = SmolVlmModel::random(config, SEED, device, format)?;
                Ok((model, LoadReport::default(), format))
            }
        }
    }
}

/// Writes a checkpoint folder at a preset's size with random weights and a synthetic tokenizer, in the layout of the
/// released ones: for tests and timings where no real checkpoint can be had. [`Dtype::Auto`] is bf16. A checkpoint in the
/// folder is replaced, all of its files: those for which [`is_checkpoint_file`](crate::is_checkpoint_file) is true.
///
/// # Errors
///
/// A folder or file that cannot be written; the folder is then as it was.
pub fn write_random_checkpoint(preset: Preset, dtype: Dtype, seed: u64, folder: &Path) -> Result<(), Error> {
    let float = match dtype {
        Dtype::F32 => FloatType::F32,
        Dtype::F16 => FloatType::F16,
        Dtype::Auto | Dtype::Bf16 => FloatType::Bf16,
        Dtype::Q8 | Dtype::Q4 => {
            let legal = "auto, f32, bf16 or f16: weights are stored in these and quantized when they are loaded";
            return Err(Error::Option { option: "dtype", value: format!("{dtype:?}").to_lowercase(), legal });
        }
    };
    replace(folder, |folder| {
        let model = write_small_files(preset, float, folder)?;
        Ok(smolvlm_model::write_random_checkpoint(&model, seed, float, folder.join(WEIGHTS))?)
    })
}

/// Everything but the weights of a random checkpoint.
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

/// Writes a checkpoint folder with quantized matrices, as [`Dtype::Q8`] or [`Dtype::Q4`] would make them while loading: a
/// smaller file that is loaded faster. Adapters are merged first. The other files of the folder are copied. A checkpoint in
/// the folder is replaced, as by [`write_random_checkpoint`].
///
/// # Errors
///
/// Another format, a source whose weights do not fit its configuration, the source's own folder, a folder or file that
/// cannot be written; the folder is then as it was.
#[cfg(feature = "flex")]
pub fn quantize(
    source: Source,
    adapters: &[Adapter],
    dtype: Dtype,
    folder: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Error> {
    let format = match dtype {
        Dtype::Q8 => Format::Q8,
        Dtype::Q4 => Format::Q4,
        _ => {
            let value = format!("{dtype:?}").to_lowercase();
            return Err(Error::Option { option: "dtype", value, legal: "q8 or q4" });
        }
    };
    let checkpoint = source.open(progress)?.with_adapters(adapters)?;
    if checkpoint.folders().iter().any(|from| smolvlm_files::is_same_file(from, folder)) {
        let source = std::io::Error::other("is the checkpoint that is read; choose another folder");
        return Err(Error::Write { path: folder.into(), source });
    }
    let (config, weights) = (checkpoint.config()?, checkpoint.weights()?);
    let source = weights.as_ref().map_or(QuantizedSource::Random(SEED), QuantizedSource::Weights);
    replace(folder, |folder| {
        write_other_files(&checkpoint, folder)?;
        Ok(write_quantized_checkpoint(&config, &source, format, folder.join(WEIGHTS))?)
    })
}

/// Writes what belongs to a checkpoint besides its weights.
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
                // None of the base's may stay: which file says what differs between them.
                for name in PROCESSOR_FILES.iter().map(|name| folder.join(name)).filter(|path| path.exists()) {
                    std::fs::remove_file(&name).map_err(|source| Error::Write { path: name, source })?;
                }
                copy_small_files(from, folder, |name| PROCESSOR_FILES.contains(&name))?;
            }
        }
    }
    Ok(())
}

/// Files that a processor is read from.
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

/// Copies those of a folder's files that are wanted and hold no weights.
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
            // A copy with the source's mode could be read-only.
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
