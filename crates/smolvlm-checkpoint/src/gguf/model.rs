//! A model of one or two GGUF files.

use std::borrow::Cow;
use std::path::Path;

use smolvlm_config::{ModelConfig, ProcessorConfig};

use super::config::{model_config, processor_config};
use super::file::GgufFile;
use super::names::{RowOrder, has_swapped_names, swap_name, text_name, vision_name};
use super::vocabulary::GgufVocabulary;
use crate::error::Error;
use crate::header::{StoredTensor, StoredType, readable};
use crate::tensor_specs::{is_vision_tensor, tensor_specs};
use crate::weights::{FileBytes, Weights};
use safetensors::tensor::Dtype;

/// The architectures of the two files.
const TEXT: &str = "llama";
const VISION: &str = "clip";

/// The content of a GGUF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufKind {
    /// A text model.
    Text,
    /// Vision encoder and connector.
    Mmproj,
}

impl GgufKind {
    /// The content of the file at `path`, from its metadata.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and [`Error::Gguf`] for an invalid file and for a part of a model.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, Error> {
        let file = GgufFile::open(path.as_ref())?;
        check_whole(&file)?;
        let architecture = file.text("general.architecture")?;
        Ok(if architecture == Some(VISION) { Self::Mmproj } else { Self::Text })
    }
}

/// Rejects a file that is one of several of a model.
fn check_whole(file: &GgufFile) -> Result<(), Error> {
    if file.count("split.count")?.is_some_and(|parts| parts > 1) {
        return Err(file.error("it is a part of a model; join the parts with llama-gguf-split --merge"));
    }
    Ok(())
}

/// A model of GGUF files: a text model, optionally with vision encoder and connector.
///
/// ```no_run
/// use smolvlm_checkpoint::GgufModel;
///
/// let model = GgufModel::open("SmolVLM2.gguf", Some("mmproj-SmolVLM2.gguf"))?;
/// let (config, vocabulary) = (model.config()?, model.vocabulary()?);
/// let weights = model.into_weights()?;
/// # Ok::<(), smolvlm_checkpoint::Error>(())
/// ```
#[derive(Debug)]
pub struct GgufModel {
    text: GgufFile,
    vision: Option<GgufFile>,
}

impl GgufModel {
    /// Maps the files and reads their headers. The files must not change during the lifetime of this value and of its
    /// weights.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and [`Error::Gguf`] for a file that is invalid or has another architecture.
    pub fn open(text: impl AsRef<Path>, mmproj: Option<impl AsRef<Path>>) -> Result<Self, Error> {
        let vision = mmproj.map(|path| GgufFile::open(path.as_ref())).transpose()?;
        Self::new(GgufFile::open(text.as_ref())?, vision)
    }

    /// Reads the headers of files in memory; error messages name `model.gguf` and `mmproj.gguf`.
    ///
    /// # Errors
    ///
    /// [`Error::Gguf`], as [`open`](Self::open).
    pub fn from_bytes(
        text: impl Into<Cow<'static, [u8]>>,
        mmproj: Option<impl Into<Cow<'static, [u8]>>>,
    ) -> Result<Self, Error> {
        let vision = mmproj.map(|bytes| GgufFile::from_bytes(bytes, Path::new("mmproj.gguf"))).transpose()?;
        Self::new(GgufFile::from_bytes(text, Path::new("model.gguf"))?, vision)
    }

    fn new(text: GgufFile, vision: Option<GgufFile>) -> Result<Self, Error> {
        for file in std::iter::once(&text).chain(&vision) {
            check_whole(file)?;
        }
        let advice = match text.text("general.architecture")? {
            Some(VISION) => " (a text model); the file is an mmproj file, which belongs to a text model",
            _ => "; SmolVLM's text model has this architecture",
        };
        text.expect("general.architecture", TEXT, advice)?;
        if text.shape("token_embd.weight").is_none() {
            return Err(text.error(match text.text("general.type")? {
                Some("adapter") => "it is an adapter; GGUF adapters are not supported, give a text model",
                _ => "it has no tensor token_embd.weight: it is only a vocabulary or a part of a model",
            }));
        }
        if let Some(file) = &vision {
            file.expect("general.architecture", VISION, " (an mmproj file)")?;
        }
        Ok(Self { text, vision })
    }

    /// Whether the model has no vision encoder.
    pub fn is_text_only(&self) -> bool {
        self.vision.is_none()
    }

    /// The configuration, with the generation parameters. Without an mmproj file, vision encoder and connector have
    /// small sizes and zeros as weights; a vocabulary without `<image>` gives [`ModelConfig::NO_IMAGE_TOKEN`].
    ///
    /// # Errors
    ///
    /// [`Error::Gguf`] for missing or unsupported metadata and for files of different models, [`Error::Config`] for
    /// sizes that are impossible.
    pub fn config(&self) -> Result<ModelConfig, Error> {
        model_config(&self.text, self.vision.as_ref())
    }

    /// The configuration of the processor: the chat template and the sizes of the files; all other values are those of
    /// the released SmolVLM2 models.
    ///
    /// # Errors
    ///
    /// As [`config`](Self::config).
    pub fn processor_config(&self) -> Result<ProcessorConfig, Error> {
        processor_config(&self.text, self.vision.as_ref(), &self.config()?)
    }

    /// The tokenizer's vocabulary.
    ///
    /// # Errors
    ///
    /// [`Error::Gguf`] for a missing or unsupported tokenizer.
    pub fn vocabulary(&self) -> Result<GgufVocabulary, Error> {
        GgufVocabulary::read(&self.text)
    }

    /// The weights, under the names of a checkpoint.
    ///
    /// # Errors
    ///
    /// As [`config`](Self::config), and [`Error::DuplicateTensor`].
    pub fn into_weights(self) -> Result<Weights, Error> {
        let config = self.config()?;
        let mut weights = Weights { is_gguf: true, ..Weights::of_files(2) };
        let head_dim = config.text.head_dim;
        add(&mut weights, self.text, text_name, |name, tensor| RowOrder::of_text(name, &tensor.shape, head_dim))?;
        match self.vision {
            Some(file) => {
                let swapped = has_swapped_names(&file, config.vision.hidden_size);
                let name = |name: &str| {
                    let name = vision_name(name)?;
                    Some(if swapped { swap_name(&name) } else { name })
                };
                add(&mut weights, file, name, |_, _| RowOrder::Checkpoint)?;
            }
            None => add_zeros(&mut weights, &config),
        }
        Ok(weights)
    }
}

/// Adds the tensors of a file. Those without a name in the checkpoint keep theirs, so that they are reported as
/// unexpected.
fn add(
    weights: &mut Weights,
    file: GgufFile,
    name: impl Fn(&str) -> Option<String>,
    order: impl Fn(&str, &super::header::GgufTensor) -> RowOrder,
) -> Result<(), Error> {
    for (own, tensor) in &file.header.tensors {
        let order = order(own, tensor);
        let stored = StoredTensor {
            dtype: match tensor.ggml_type.plain().filter(|_| order == RowOrder::Checkpoint) {
                Some(plain) => StoredType::Plain(plain),
                None => StoredType::Ggml(tensor.ggml_type, order),
            },
            shape: tensor.shape.clone(),
            range: tensor.range.clone(),
        };
        let name = name(own).unwrap_or_else(|| own.clone());
        if weights.tensors.insert(name.clone(), (weights.files.len(), stored)).is_some() {
            return Err(Error::DuplicateTensor { path: file.path, name: readable(&name) });
        }
    }
    weights.files.push(file.bytes);
    Ok(())
}

/// Adds zeros for vision encoder and connector. All tensors share the same bytes.
fn add_zeros(weights: &mut Weights, config: &ModelConfig) {
    let mut largest = 0;
    for spec in tensor_specs(config).into_iter().filter(|spec| is_vision_tensor(&spec.name)) {
        let range = 0..2 * spec.elements();
        largest = largest.max(range.end);
        let tensor = StoredTensor { dtype: StoredType::Plain(Dtype::BF16), shape: spec.shape, range };
        weights.tensors.insert(spec.name, (weights.files.len(), tensor));
    }
    weights.files.push(FileBytes::Memory(Cow::Owned(vec![0; largest])));
}

#[cfg(test)]
mod tests;
