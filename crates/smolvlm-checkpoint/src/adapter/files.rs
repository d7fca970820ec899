//! Opening of an adapter folder: its LoRA matrices and the tensors that replace those of the model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use smolvlm_kernels::MappedFile;

use super::config::PeftConfig;
use crate::error::Error;
use crate::header::{StoredTensor, read_header, readable};
use crate::values::widen;
use crate::weights::canonical;

/// Name of the weight file of an adapter folder.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
/// Prefix that PEFT adds to the names of a model's modules.
pub const PEFT_PREFIX: &str = "base_model.model.";

/// The low-rank update of one linear layer, convolution or embedding table: `scale * up * down`.
#[derive(Debug, Clone)]
pub struct LoraLayer {
    /// Rows of `down` and columns of `up`.
    pub rank: usize,
    /// Scale of the product: alpha / rank, or alpha / sqrt(rank) for rank-stabilized LoRA.
    pub scale: f64,
    /// Matrix `lora_B`, `[outputs, rank]`.
    pub up: Vec<f32>,
    /// Matrix `lora_A`, `[rank, inputs]`.
    pub down: Vec<f32>,
    /// Shape of the updated weight, from the shapes of the matrices; all dimensions for a convolution.
    pub(super) shape: Vec<usize>,
    /// Update of the bias, before scaling.
    pub(super) bias: Option<Vec<f32>>,
    /// Whether the weight is an embedding table.
    pub(super) is_embedding: bool,
}

/// A LoRA adapter as PEFT writes it: `adapter_config.json` and `adapter_model.safetensors`.
#[derive(Debug)]
pub struct PeftAdapter {
    pub(super) path: PathBuf,
    pub(super) config: PeftConfig,
    pub(super) file: MappedFile,
    /// Low-rank updates by module name.
    pub(super) layers: BTreeMap<String, LoraLayer>,
    /// Tensors that replace those of the model, by name.
    pub(super) replaced: BTreeMap<String, StoredTensor>,
}

/// The role of a tensor in a module's update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Down,
    Up,
    UpBias,
    EmbeddingDown,
    EmbeddingUp,
}

/// Name suffixes of these parts. PEFT also accepts names that contain the adapter's name.
const PARTS: [(&str, Part); 8] = [
    (".lora_A.weight", Part::Down),
    (".lora_A.default.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (".lora_B.default.weight", Part::Up),
    (".lora_B.bias", Part::UpBias),
    (".lora_B.default.bias", Part::UpBias),
    (".lora_embedding_A", Part::EmbeddingDown),
    (".lora_embedding_B", Part::EmbeddingUp),
];

impl PeftAdapter {
    /// Opens an adapter folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Safetensors`] for files that cannot be read, [`Error::Adapter`] for options and
    /// tensors that are unsupported or contradict each other.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let config = PeftConfig::read(folder)?;
        let path = folder.join(ADAPTER_WEIGHTS);
        if !path.exists() && folder.join("adapter_model.bin").exists() {
            let message = "found only adapter_model.bin; save the adapter with safetensors".to_owned();
            return Err(Error::Adapter { path, message });
        }
        let file = MappedFile::open(&path).map_err(|error| Error::io(&path, error))?;
        let wrong = |message: String| Error::Adapter { path: path.clone(), message };
        let (mut parts, mut replaced) = (BTreeMap::<String, BTreeMap<Part, StoredTensor>>::new(), BTreeMap::new());
        for (key, tensor) in read_header(&file, &path)? {
            if tensor.float_type().is_none() {
                return Err(wrong(format!(
                    "{} is stored as {}; supported are F32, BF16 and F16",
                    readable(&key),
                    tensor.dtype
                )));
            }
            let name = key.strip_prefix(PEFT_PREFIX);
            let name = name.ok_or_else(|| wrong(format!("{} does not start with {PEFT_PREFIX}", readable(&key))))?;
            let repeated = match PARTS.iter().find_map(|(end, part)| Some((name.strip_suffix(end)?, *part))) {
                Some((module, part)) => parts.entry(module.to_owned()).or_default().insert(part, tensor).is_some(),
                None if is_other_method(name) => {
                    return Err(wrong(format!("{} does not belong to a plain LoRA adapter", readable(&key))));
                }
                None => replaced.insert(canonical(name.replacen(".base_layer.", ".", 1)), tensor).is_some(),
            };
            if repeated {
                return Err(wrong(format!("{} is stored twice", readable(&key))));
            }
        }
        if parts.is_empty() && replaced.is_empty() {
            return Err(wrong("the file contains no tensors".to_owned()));
        }
        let mut layers = BTreeMap::new();
        for (module, parts) in parts {
            let layer = layer(&file, &module, &parts, &config).map_err(|message| match message {
                LayerError::Message(message) => wrong(format!("{}: {message}", readable(&module))),
                LayerError::Config(error) => error,
            })?;
            // The module's name in checkpoints, derived from the name of its weight.
            let weight = canonical(format!("{module}.weight"));
            let name = weight.strip_suffix(".weight").unwrap_or(&weight).to_owned();
            if layers.insert(name, layer).is_some() {
                return Err(wrong(format!("{} is stored twice", readable(&module))));
            }
        }
        Ok(Self { path, config, file, layers, replaced })
    }

    /// The configuration, `adapter_config.json`.
    pub fn config(&self) -> &PeftConfig {
        &self.config
    }

    /// The updates of linear layers by checkpoint name, for further training.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] when the adapter changes anything else: embedding tables, convolutions, biases, or whole
    /// modules.
    pub fn into_linear_layers(self) -> Result<BTreeMap<String, LoraLayer>, Error> {
        let other =
            self.layers.iter().find(|(_, layer)| layer.is_embedding || layer.bias.is_some() || layer.shape.len() != 2);
        let other = other.map(|(module, _)| module).or_else(|| self.replaced.keys().next());
        match other {
            Some(name) => {
                let message = format!("{name} is not the weight of a linear layer with LoRA matrices");
                Err(Error::Adapter { path: self.path, message })
            }
            None => Ok(self.layers),
        }
    }

    /// Names of the tensors that the adapter replaces.
    pub(super) fn replaced_names(&self) -> BTreeSet<&str> {
        self.replaced.keys().map(String::as_str).collect()
    }
}

/// Whether a tensor name belongs to another method than plain LoRA, such as DoRA magnitudes or trainable tokens.
fn is_other_method(name: &str) -> bool {
    name.split('.')
        .any(|part| part.starts_with("lora_") || part == "token_adapter" || part.contains("trainable_tokens"))
}

enum LayerError {
    Message(String),
    Config(Error),
}

impl From<String> for LayerError {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<Error> for LayerError {
    fn from(error: Error) -> Self {
        Self::Config(error)
    }
}

/// Combines the tensors of a module's update.
fn layer(
    file: &MappedFile,
    module: &str,
    parts: &BTreeMap<Part, StoredTensor>,
    config: &PeftConfig,
) -> Result<LoraLayer, LayerError> {
    let is_embedding = parts.contains_key(&Part::EmbeddingDown) || parts.contains_key(&Part::EmbeddingUp);
    let [down_part, up_part] =
        if is_embedding { [Part::EmbeddingDown, Part::EmbeddingUp] } else { [Part::Down, Part::Up] };
    let (Some(down), Some(up)) = (parts.get(&down_part), parts.get(&up_part)) else {
        return Err("one of its two matrices is missing".to_owned().into());
    };
    let allowed = [down_part, up_part, if is_embedding { up_part } else { Part::UpBias }];
    if parts.keys().any(|part| !allowed.contains(part)) {
        return Err("it has matrices of both a linear layer and an embedding table".to_owned().into());
    }
    let shapes = || format!("the shapes {:?} and {:?} of its matrices do not fit together", down.shape, up.shape);
    let (&[rank, ref inputs @ ..], &[outputs, up_rank, ref kernel @ ..]) = (down.shape.as_slice(), up.shape.as_slice())
    else {
        return Err(shapes().into());
    };
    let fits = rank == up_rank
        && rank > 0
        && !inputs.is_empty()
        && inputs.len() == kernel.len() + 1
        && kernel.iter().all(|&size| size == 1);
    if !fits {
        return Err(shapes().into());
    }
    let wanted = config.rank(module)?;
    if wanted != rank as f64 {
        return Err(format!("its matrices have rank {rank}, but the configuration says {wanted}").into());
    }
    let scale = config.scale(module, rank)?;
    let (mut up, mut down) = (values(file, up)?, values(file, down)?);
    let mut shape = vec![outputs];
    shape.extend(inputs);
    if is_embedding {
        // PEFT stores the matrices of an embedding table `[entries, width]` transposed.
        (up, down) = (transposed(&down, rank), transposed(&up, outputs));
        shape.reverse();
    }
    let bias = match parts.get(&Part::UpBias) {
        Some(bias) if bias.shape == [outputs] => Some(values(file, bias)?),
        Some(bias) => return Err(format!("its bias has the shape {:?} instead of [{outputs}]", bias.shape).into()),
        None => None,
    };
    Ok(LoraLayer { rank, scale, up, down, shape, bias, is_embedding })
}

/// Reads the values of a tensor.
fn values(file: &MappedFile, tensor: &StoredTensor) -> Result<Vec<f32>, String> {
    let (Some(float), Some(bytes)) = (tensor.float_type(), file.get(tensor.range.clone())) else {
        return Err("it cannot be read".to_owned());
    };
    let mut values = vec![0.0; bytes.len() / float.bytes()];
    widen(bytes, float, &mut values);
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err("it contains a value that is not finite".to_owned())
    }
}

/// Transposes a matrix with `rows` rows.
fn transposed(values: &[f32], rows: usize) -> Vec<f32> {
    let columns = values.len() / rows.max(1);
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}
