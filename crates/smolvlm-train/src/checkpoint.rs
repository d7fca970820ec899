//! Training checkpoints: a model in the standard layout, and the state with which training resumes exactly.

use crate::lora::{has_adapters, save_adapters};
use crate::optimizer::Moments;
use crate::parameters::Parameter;
use crate::{Error, TrainConfig};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};
use serde::{Deserialize, Serialize};
use smolvlm_config::FloatType;
use smolvlm_files::OutputFile;
use smolvlm_model::SmolVlmModel;
use smolvlm_processor::Processor;
use std::fs;
use std::path::{Path, PathBuf};

const STATE: &str = "trainer_state.json";
const MOMENTS: &str = "optimizer.safetensors";
const PREFIX: &str = "checkpoint-";

/// The training state that a checkpoint stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Steps done.
    pub(crate) step: u64,
    /// Position of the next sample in the order of samples.
    pub(crate) position: u64,
    /// Steps that changed the weights; those with a loss that is not finite do not.
    pub(crate) updates: u64,
    /// Seed of the order of samples.
    pub(crate) seed: u64,
}

/// Writes a model without adapters, its weights rounded to `float`, and the processor's files in the layout of the
/// released checkpoints. `folder` must exist.
///
/// # Errors
///
/// [`Error::Io`] when a file cannot be written, [`Error::Model`] when weights are packed.
pub fn save_model(model: &SmolVlmModel, processor: &Processor, float: FloatType, folder: &Path) -> Result<(), Error> {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| Error::io(path, source))
    };
    let mut config = model.config().clone();
    config.dtype = Some(float);
    config.tie_word_embeddings = model.lm_head.is_none();
    // The released checkpoints keep the generation parameters in a separate file.
    let generation = std::mem::take(&mut config.generation);
    write("generation_config.json", generation.to_json())?;
    write("config.json", config.to_json())?;
    write("processor_config.json", processor.config().to_json())?;
    processor.save_tokenizer(folder)?;
    // The weights are written last: a folder with weights is complete.
    model.save(float, folder.join("model.safetensors"))?;
    Ok(())
}

/// Writes a checkpoint under a temporary name, renames it once it is complete, and then deletes the oldest ones. An
/// interruption at any time leaves the earlier checkpoints unchanged.
pub(crate) fn save(
    output: &Path,
    config: &TrainConfig,
    (model, processor): (&SmolVlmModel, &Processor),
    parameters: &[Parameter],
    moments: &[Moments],
    state: State,
) -> Result<PathBuf, Error> {
    let name = format!("{PREFIX}{}", state.step);
    let (partial, folder) = (output.join(format!("{name}.partial")), output.join(&name));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|source| Error::io(&partial, source))?;
    }
    fs::create_dir_all(&partial).map_err(|source| Error::io(&partial, source))?;
    write_moments(parameters, moments, &partial.join(MOMENTS))?;
    let text = serde_json::to_string_pretty(&state).map_err(|error| Error::io(partial.join(STATE), error.into()))?;
    fs::write(partial.join(STATE), text).map_err(|source| Error::io(partial.join(STATE), source))?;
    if has_adapters(model) {
        save_adapters(model, config.base_model.as_deref(), &partial)?;
    } else {
        save_model(model, processor, FloatType::F32, &partial)?;
    }
    for entry in fs::read_dir(&partial).map_err(|source| Error::io(&partial, source))? {
        let path = entry.map_err(|source| Error::io(&partial, source))?.path();
        fs::File::open(&path).and_then(|file| file.sync_all()).map_err(|source| Error::io(&path, source))?;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|source| Error::io(&folder, source))?;
    }
    fs::rename(&partial, &folder).map_err(|source| Error::io(&folder, source))?;
    let mut all = checkpoints(output)?;
    let surplus = all.len().saturating_sub(config.keep.max(1));
    for (_, old) in all.drain(..surplus) {
        fs::remove_dir_all(&old).map_err(|source| Error::io(&old, source))?;
    }
    Ok(folder)
}

/// Checkpoints of an output folder with their steps, oldest first.
fn checkpoints(output: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(output).map_err(|source| Error::io(output, source))? {
        let path = entry.map_err(|source| Error::io(output, source))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(step) = name.and_then(|name| name.strip_prefix(PREFIX)?.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The newest complete checkpoint of an output folder, if there is one.
///
/// # Errors
///
/// [`Error::Io`] when the folder exists and cannot be read.
pub fn latest_checkpoint(output: &Path) -> Result<Option<PathBuf>, Error> {
    if !output.exists() {
        return Ok(None);
    }
    Ok(checkpoints(output)?.pop().map(|(_, path)| path))
}

fn write_moments(parameters: &[Parameter], moments: &[Moments], path: &Path) -> Result<(), Error> {
    let mut tensors = Vec::new();
    for (parameter, moments) in parameters.iter().zip(moments).filter(|(parameter, _)| parameter.trainable) {
        for (kind, values) in [("mean", &moments.mean), ("square", &moments.square)] {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((format!("{}.{kind}", parameter.name), vec![values.len()], bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (name.as_str(), view))
    });
    let wrong = |error: safetensors::SafeTensorError| Error::io(path, std::io::Error::other(error.to_string()));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let failed = |error| Error::io(path, error);
    let draft = OutputFile::resolve(path).and_then(|output| output.draft()).map_err(failed)?;
    serialize_to_file(views, None, draft.path()).map_err(wrong)?;
    draft.commit().map_err(failed)
}

/// Reads the training state and the optimizer's moments of a checkpoint.
pub(crate) fn read(folder: &Path, parameters: &[Parameter]) -> Result<(State, Vec<Moments>), Error> {
    let wrong = |path: PathBuf, message: String| Error::Resume { path, message };
    let path = folder.join(STATE);
    let text = fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
    let state: State = serde_json::from_str(&text).map_err(|error| wrong(path, error.to_string()))?;
    let path = folder.join(MOMENTS);
    let bytes = fs::read(&path).map_err(|source| Error::io(&path, source))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| wrong(path.clone(), error.to_string()))?;
    let mut moments = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        if !parameter.trainable {
            moments.push(Moments::default());
            continue;
        }
        let values = |kind: &str| -> Result<Vec<f32>, Error> {
            let name = format!("{}.{kind}", parameter.name);
            let tensor = tensors.tensor(&name).ok().filter(|tensor| tensor.data().len() == 4 * parameter.len);
            let tensor = tensor.ok_or_else(|| {
                let message = format!(
                    "{name} is missing or does not have {} values; the model or the frozen parameters differ from \
                     those of the checkpoint",
                    parameter.len
                );
                wrong(path.clone(), message)
            })?;
            Ok(tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        };
        moments.push(Moments { mean: values("mean")?, square: values("square")? });
    }
    Ok((state, moments))
}
