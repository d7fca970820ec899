//! Writing of checkpoint folders: random and quantized ones.

use crate::checkpoint_files::{WEIGHTS, is_checkpoint_file};
use crate::checkpoint_folder::replace;
use crate::open_checkpoint::random_processor;
use crate::{Dtype, Error};
use smolvlm_config::{FloatType, ModelConfig, Preset};
use std::path::Path;
#[cfg(feature = "flex")]
use {
    crate::checkpoint_files::PROCESSOR_FILES,
    crate::open_checkpoint::RANDOM_SEED,
    crate::{Adapter, Cancel, Checkpoint, Options, Progress, Source},
    smolvlm_checkpoint::{ADAPTER_CONFIG, WeightSource, write_quantized_weights},
    smolvlm_kernels::PackedFormat,
};

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
            return Err(Error::Option { option: "dtype", value: dtype.to_string(), legal });
        }
    };
    replace(folder, WEIGHTS, is_checkpoint_file, |folder| {
        let model = write_small_files(preset, float, folder)?;
        Ok(smolvlm_checkpoint::write_random_weights(&model, seed, float, folder.join(WEIGHTS))?)
    })
}

/// Writes all files of a random checkpoint except its weights.
fn write_small_files(preset: Preset, float: FloatType, folder: &Path) -> Result<ModelConfig, Error> {
    let mut model = preset.model();
    model.dtype = Some(float);
    write_text(folder, "config.json", model.to_json())?;
    write_text(folder, "processor_config.json", preset.processor().to_json())?;
    write_text(folder, "generation_config.json", preset.generation().to_json())?;
    random_processor(preset)?.save_tokenizer(folder)?;
    Ok(model)
}

fn write_text(folder: &Path, name: &str, text: String) -> Result<(), Error> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|source| Error::Write { path, source })
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
            return Err(Error::Option { option: "dtype", value: dtype.to_string(), legal: "q8 or q4" });
        }
    };
    let checkpoint = source.open(&Cancel::new(), progress)?.with_adapters(adapters)?;
    checkpoint.check_target(folder)?;
    if checkpoint.is_text_only() {
        return Err(Error::TextOnly { action: "a checkpoint folder" });
    }
    let (config, weights) = (checkpoint.config()?, checkpoint.weights()?);
    let source = weights.as_ref().map_or(WeightSource::Random(RANDOM_SEED), WeightSource::Weights);
    replace(folder, WEIGHTS, is_checkpoint_file, |folder| {
        write_other_files(&checkpoint, folder)?;
        Ok(write_quantized_weights(&config, &source, format, folder.join(WEIGHTS))?)
    })
}

#[cfg(feature = "flex")]
impl Checkpoint {
    /// Checks that a folder to write does not contain the source, also through symbolic links.
    pub(crate) fn check_target(&self, folder: &Path) -> Result<(), Error> {
        let files = self.files().into_iter().filter_map(|file| file.canonicalize().ok());
        let targets = files.filter_map(|file| file.parent().map(Path::to_owned));
        let mut sources = self.folders().into_iter().map(Path::to_owned).chain(targets);
        if sources.any(|from| smolvlm_files::is_same_file(&from, folder)) {
            let source = std::io::Error::other("this folder contains the source checkpoint; choose another folder");
            return Err(Error::Write { path: folder.into(), source });
        }
        Ok(())
    }
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
        Checkpoint::Gguf { .. } => {
            let (config, processor) = (checkpoint.config()?, checkpoint.processor(&Options::default())?);
            write_text(folder, "config.json", config.to_json())?;
            write_text(folder, "processor_config.json", processor.config().to_json())?;
            write_text(folder, "generation_config.json", config.generation.to_json())?;
            processor.save_tokenizer(folder)?;
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
