//! LoRA adapters (Hu et al. 2022, arXiv 2106.09685), in the file layout of the Python package PEFT.

use crate::Error;
use crate::parameters::{DOWN, UP, matches, module_name, specs_by_path};
use crate::random::Random;
use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};
use serde_json::{Value, json};
use smolvlm_files::OutputFile;
use smolvlm_kernels::{Adapter, Linear};
use smolvlm_model::{HostTensor, SmolVlmModel};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before the names of a model's modules.
const PREFIX: &str = "base_model.model.";

/// Which layers get adapters of which size.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Width of an adapter.
    pub rank: usize,
    /// The adapter's product is multiplied with `alpha / rank`.
    pub alpha: f64,
    /// Layers: the last part of their name in the checkpoint (`q_proj`), or a pattern of the whole name, in which `*` stands
    /// for anything (`model.text_model.*.q_proj`).
    pub targets: Vec<String>,
}

impl Default for LoraConfig {
    /// All linear layers of the text model.
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: vec!["model.text_model.*".to_owned()] }
    }
}

impl LoraConfig {
    /// Gives a model adapters that change nothing yet. What trains it afterwards changes them alone.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a rank of zero, [`Error::NoSuchParameter`] for a target that names no layer.
    pub fn attach(&self, mut model: SmolVlmModel, seed: u64) -> Result<SmolVlmModel, Error> {
        if self.rank == 0 {
            return Err(Error::Option { option: "rank", value: "0".to_owned(), legal: "at least 1" });
        }
        let mut layers = named_layers(&mut model);
        let is_target = |target: &str, name: &str| matches(target, name) || name.rsplit('.').next() == Some(target);
        for target in &self.targets {
            if !layers.keys().any(|name| is_target(target, name)) {
                let example = layers.keys().next().cloned().unwrap_or_default();
                return Err(Error::NoSuchParameter { pattern: target.clone(), example });
            }
        }
        let chosen = layers.iter_mut().filter(|(name, _)| self.targets.iter().any(|target| is_target(target, name)));
        for (number, (_, layer)) in (0..).zip(chosen) {
            let ([inputs, outputs], mut random) = ([layer.inputs(), layer.outputs()], Random::new(seed, number));
            let bound = 1.0 / (inputs as f32).sqrt();
            let down = (0..self.rank * inputs).map(|_| random.symmetric() * bound).collect();
            let up = vec![0.0; outputs * self.rank];
            layer.adapter = Some(adapter(down, up, self.rank, self.alpha / self.rank as f64));
        }
        drop(layers);
        Ok(model)
    }
}

fn adapter(down: Vec<f32>, up: Vec<f32>, rank: usize, scale: f64) -> Adapter {
    let matrix = |values: Vec<f32>, shape: [usize; 2]| {
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &Device::flex()))
    };
    let (inputs, outputs) = (down.len() / rank, up.len() / rank);
    Adapter { down: matrix(down, [rank, inputs]), up: matrix(up, [outputs, rank]), scale }
}

/// The linear layers by their names in the checkpoint.
fn named_layers(model: &mut SmolVlmModel) -> BTreeMap<String, &mut Linear> {
    let specs = specs_by_path(model.config());
    let layers = model.linears_mut().into_iter();
    layers.filter_map(|(path, layer)| Some((module_name(&specs, &path)?, layer))).collect()
}

/// Whether any layer has an adapter.
pub(crate) fn has_adapters(model: &SmolVlmModel) -> bool {
    model.clone().linears_mut().iter().any(|(_, layer)| layer.adapter.is_some())
}

/// Adds what the adapters change to the weights, and takes the adapters away: the same outputs at the speed of the plain
/// model.
#[must_use]
pub fn merge_adapters(mut model: SmolVlmModel) -> SmolVlmModel {
    for (_, layer) in model.linears_mut() {
        if let (Some(adapter), Some(weight)) = (layer.adapter.take(), &mut layer.weight) {
            let merged = weight.val() + adapter.weight();
            *weight = Param::initialized(weight.id, merged);
        }
    }
    model
}

/// Writes the adapters of a model as `adapter_config.json` and `adapter_model.safetensors`, which PEFT reads, too. `base`
/// names the model that they belong to.
///
/// # Errors
///
/// [`Error::Io`] when they cannot be written, [`Error::Adapter`] when there are none, or with different ranks or factors.
pub fn save_adapters(model: &SmolVlmModel, base: Option<&str>, folder: &Path) -> Result<(), Error> {
    let mut model = model.clone();
    let (mut tensors, mut sizes, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for (name, layer) in named_layers(&mut model) {
        let Some(adapter) = &layer.adapter else { continue };
        sizes.push((adapter.down.val().dims()[0], adapter.scale));
        for (kind, matrix) in [(DOWN, &adapter.down), (UP, &adapter.up)] {
            let HostTensor { shape, data } = HostTensor::read(matrix.val().inner())?;
            let bytes: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((format!("{PREFIX}{name}.{kind}"), shape, bytes));
        }
        targets.push(name);
    }
    let path = folder.join(WEIGHTS);
    let wrong = |message: &str| Error::Adapter { path: path.clone(), message: message.to_owned() };
    let &(rank, scale) = sizes.first().ok_or_else(|| wrong("the model has no adapters"))?;
    if sizes.iter().any(|size| *size != (rank, scale)) {
        return Err(wrong("adapters of different ranks or factors are not written"));
    }
    let config = json!({
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "lora_alpha": scale * rank as f64,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": targets,
        "task_type": null,
    });
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    let text = serde_json::to_string_pretty(&config).map_err(|error| Error::io(folder.join(CONFIG), error.into()))?;
    fs::write(folder.join(CONFIG), text).map_err(|source| Error::io(folder.join(CONFIG), source))?;
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&error.to_string()))?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let draft =
        OutputFile::resolve(&path).and_then(|output| output.draft()).map_err(|error| Error::io(&path, error))?;
    serialize_to_file(views, Some(metadata), draft.path()).map_err(|error| wrong(&error.to_string()))?;
    draft.commit().map_err(|error| Error::io(&path, error))
}

/// Gives a model the adapters of a folder, as this crate or PEFT wrote it.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Adapter`] for files that cannot be read, that are for another model, or that hold more than
/// plain LoRA matrices in f32.
pub fn load_adapters(mut model: SmolVlmModel, folder: &Path) -> Result<SmolVlmModel, Error> {
    let path = folder.join(CONFIG);
    let wrong = |message: String| Error::Adapter { path: path.clone(), message };
    let text = fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
    let config: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let set = |key: &str| match config.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(_) => true,
    };
    for key in
        ["use_dora", "fan_in_fan_out", "alpha_pattern", "modules_to_save", "lora_bias", "trainable_token_indices"]
    {
        if set(key) {
            return Err(wrong(format!("{key} is not supported")));
        }
    }
    let alpha = config.get("lora_alpha").and_then(Value::as_f64).ok_or_else(|| wrong("no lora_alpha".to_owned()))?;
    let path = folder.join(WEIGHTS);
    let wrong = |message: String| Error::Adapter { path: path.clone(), message };
    let bytes = fs::read(&path).map_err(|source| Error::io(&path, source))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
    let mut layers = named_layers(&mut model);
    let mut used = 0;
    for name in tensors.names() {
        let Some(module) = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(DOWN)) else { continue };
        let module = module.trim_end_matches('.');
        let layer = layers.get_mut(module).ok_or_else(|| wrong(format!("the model has no layer {module}")))?;
        let values = |kind: &str, shape: [Option<usize>; 2]| -> Result<(Vec<f32>, usize), Error> {
            let name = format!("{PREFIX}{module}.{kind}");
            let tensor = tensors.tensor(&name).map_err(|error| wrong(format!("{name}: {error}")))?;
            let fits = |(size, wanted): (&usize, Option<usize>)| wanted.is_none_or(|wanted| wanted == *size);
            let found = tensor.shape();
            if tensor.dtype() != Dtype::F32 || found.len() != 2 || !found.iter().zip(shape).all(fits) {
                let message = format!("{name} is {:?} {found:?}, which does not fit the layer in f32", tensor.dtype());
                return Err(wrong(message));
            }
            let values = tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            Ok((values.collect(), found[0]))
        };
        let (down, rank) = values(DOWN, [None, Some(layer.inputs())])?;
        let (up, _) = values(UP, [Some(layer.outputs()), Some(rank)])?;
        if rank == 0 {
            return Err(wrong(format!("{module} has an adapter of rank 0")));
        }
        let scale = if set("use_rslora") { alpha / (rank as f64).sqrt() } else { alpha / rank as f64 };
        layer.adapter = Some(adapter(down, up, rank, scale));
        used += 2;
    }
    if used == 0 || used != tensors.len() {
        return Err(wrong(format!(
            "{} of {} tensors are no matrices of adapters",
            tensors.len() - used,
            tensors.len()
        )));
    }
    drop(layers);
    Ok(model)
}
