//! A source that has been found: its files, or the recipe for random ones.

use crate::{Dtype, Error, Options, Progress, Source};
use smolvlm_config::{FloatType, GenerationConfig, ModelConfig, Preset, ProcessorConfig};
use smolvlm_model::{LoadReport, SmolVlmModel, WeightFormat, Weights};
use smolvlm_processor::{Processor, synthetic_tokenizer};
use std::path::{Path, PathBuf};

/// The seed of [`Source::Random`].
const SEED: u64 = 0;

/// A source that has been found.
pub(crate) enum Checkpoint {
    Directory(PathBuf),
    Random(Preset),
}

impl Source {
    /// Finds the source, downloading it if need be.
    pub(crate) fn open(self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Checkpoint, Error> {
        match self {
            Self::Directory(path) => Ok(Checkpoint::Directory(path)),
            Self::Random(preset) => Ok(Checkpoint::Random(preset)),
            #[cfg(feature = "hub")]
            Self::Hub { repo, revision } => {
                Ok(Checkpoint::Directory(crate::hub::download(&repo, revision.as_deref(), progress)?))
            }
            #[cfg(not(feature = "hub"))]
            Self::Hub { repo, .. } => {
                let _ = progress;
                Err(Error::NoHub { repo })
            }
        }
    }
}

impl Checkpoint {
    pub(crate) fn config(&self) -> Result<ModelConfig, Error> {
        Ok(match self {
            Self::Directory(path) => ModelConfig::from_directory(path)?,
            Self::Random(preset) => preset.model(),
        })
    }

    pub(crate) fn generation(&self, config: &ModelConfig) -> Result<GenerationConfig, Error> {
        Ok(match self {
            Self::Directory(path) => GenerationConfig::from_directory(path, config)?,
            Self::Random(preset) => preset.generation(),
        })
    }

    pub(crate) fn processor(&self, options: &Options) -> Result<Processor, Error> {
        let processor = match self {
            Self::Directory(path) => Processor::from_directory(path)?,
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
        Ok(processor.with_limits(options.limits.clone()).with_video_words(options.video_words))
    }

    pub(crate) fn model(
        &self,
        config: &ModelConfig,
        device: &burn::tensor::Device,
        format: WeightFormat,
    ) -> Result<(SmolVlmModel, LoadReport), Error> {
        Ok(match self {
            Self::Directory(path) => SmolVlmModel::load(config, &Weights::open(path)?, device, format)?,
            Self::Random(_) => (SmolVlmModel::random(config, SEED, device, format)?, LoadReport::default()),
        })
    }
}

/// Writes a checkpoint folder at a preset's size with random weights and a synthetic tokenizer, in the layout of the
/// released ones: for tests and timings where no real checkpoint can be had. [`Dtype::Auto`] is bf16.
///
/// # Errors
///
/// A folder or file that cannot be written.
pub fn write_random_checkpoint(preset: Preset, dtype: Dtype, seed: u64, folder: &Path) -> Result<(), Error> {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| Error::Write { path, source })
    };
    std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.into(), source })?;
    let float = match dtype {
        Dtype::F32 => FloatType::F32,
        Dtype::F16 => FloatType::F16,
        Dtype::Auto | Dtype::Bf16 => FloatType::Bf16,
        Dtype::Q8 | Dtype::Q4 => {
            let legal = "auto, f32, bf16 or f16: weights are stored in these and quantised when they are loaded";
            return Err(Error::Option { option: "dtype", value: format!("{dtype:?}").to_lowercase(), legal });
        }
    };
    let mut model = preset.model();
    model.dtype = Some(float);
    write("config.json", model.to_json())?;
    write("processor_config.json", preset.processor().to_json())?;
    write("generation_config.json", preset.generation().to_json())?;
    random_processor(preset)?.save_tokenizer(folder)?;
    // The weights come last: a folder with weights is whole.
    smolvlm_model::write_random_checkpoint(&model, seed, float, folder.join("model.safetensors"))?;
    Ok(())
}

fn random_processor(preset: Preset) -> Result<Processor, Error> {
    let config: ProcessorConfig = preset.processor();
    let tokenizer = synthetic_tokenizer(preset.model().text.vocab_size)?;
    Ok(Processor::new(config, tokenizer, None)?)
}
