//! LoRA adapters (Hu et al. 2022, arXiv 2106.09685), in the file layout of the Python package PEFT.

use crate::Error;
use crate::parameters::{DOWN, UP, matches, module_name, specs_by_path};
use crate::random::Random;
use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::serialize_to_file;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use smolvlm_checkpoint::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, LoraLayer, PEFT_PREFIX, PeftAdapter};
use smolvlm_files::OutputFile;
use smolvlm_model::{HostTensor, SmolVlmModel};
use smolvlm_nn::{Adapter, Linear};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Options of LoRA adapters: their rank, scale and target layers.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Rank of the adapters.
    pub rank: usize,
    /// Scaling numerator: the low-rank product is multiplied by `alpha / rank`.
    pub alpha: f64,
    /// Target layers: the last part of their name in the checkpoint (`q_proj`), or a pattern of the whole name, in
    /// which `*` matches any text (`model.text_model.*.q_proj`).
    pub targets: Vec<String>,
}

impl Default for LoraConfig {
    /// All linear layers of the text model.
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: vec!["model.text_model.*".to_owned()] }
    }
}

impl LoraConfig {
    /// Adds adapters to a model; their product is initially zero. Training then updates only the adapters.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a rank of zero, [`Error::NoSuchParameter`] for a target that matches no layer.
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

/// The linear layers by name in the checkpoint.
fn named_layers(model: &mut SmolVlmModel) -> BTreeMap<String, &mut Linear> {
    let specs = specs_by_path(model.config());
    let layers = model.linears_mut().into_iter();
    layers.filter_map(|(path, layer)| Some((module_name(&specs, &path)?, layer))).collect()
}

/// Whether any layer has an adapter.
pub(crate) fn has_adapters(model: &SmolVlmModel) -> bool {
    model.clone().linears_mut().iter().any(|(_, layer)| layer.adapter.is_some())
}

/// Merges the adapters into the weights and removes them: the same outputs at the speed of the model without adapters.
#[must_use]
pub fn merge_adapters(mut model: SmolVlmModel) -> SmolVlmModel {
    for (_, layer) in model.linears_mut() {
        layer.merge_adapter();
    }
    model
}

/// Writes the adapters of a model as `adapter_config.json` and `adapter_model.safetensors`, which PEFT can also read.
/// `base` names their base model: a folder, `owner/name` or `owner/name@revision`.
///
/// # Errors
///
/// [`Error::Io`] when they cannot be written, [`Error::Adapter`] when the model has none or their ranks or scales
/// differ.
pub fn save_adapters(model: &SmolVlmModel, base: Option<&str>, folder: &Path) -> Result<(), Error> {
    let mut model = model.clone();
    let (mut tensors, mut sizes, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for (name, layer) in named_layers(&mut model) {
        let Some(adapter) = &layer.adapter else { continue };
        sizes.push((adapter.down.val().dims()[0], adapter.scale));
        for (kind, matrix) in [(DOWN, &adapter.down), (UP, &adapter.up)] {
            let HostTensor { shape, data } = HostTensor::read(matrix.val().inner())?;
            let bytes: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((format!("{PEFT_PREFIX}{name}.{kind}"), shape, bytes));
        }
        targets.push(name);
    }
    let path = folder.join(ADAPTER_WEIGHTS);
    let wrong = |message: &str| Error::Adapter { path: path.clone(), message: message.to_owned() };
    let &(rank, scale) = sizes.first().ok_or_else(|| wrong("the model has no adapters"))?;
    if sizes.iter().any(|size| *size != (rank, scale)) {
        return Err(wrong("adapters of different ranks or scales cannot be saved"));
    }
    let (base, revision) = match base.and_then(|base| base.split_once('@')) {
        Some((repo, revision)) if base.is_some_and(|base| !Path::new(base).is_dir()) => (Some(repo), Some(revision)),
        _ => (base, None),
    };
    let config = json!({
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "lora_alpha": scale * rank as f64,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": rank,
        "revision": revision,
        "target_modules": targets,
        "task_type": null,
    });
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    let config_path = folder.join(ADAPTER_CONFIG);
    let text = serde_json::to_string_pretty(&config).map_err(|error| Error::io(&config_path, error.into()))?;
    fs::write(&config_path, text).map_err(|source| Error::io(&config_path, source))?;
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

/// Adds the adapters of a folder, written by this crate or PEFT, to a model for further training.
///
/// # Errors
///
/// [`Error::Checkpoint`] for files that cannot be read or hold anything but LoRA matrices of linear layers,
/// [`Error::Adapter`] for adapters of a different model.
pub fn load_adapters(mut model: SmolVlmModel, folder: &Path) -> Result<SmolVlmModel, Error> {
    let wrong = |message: String| Error::Adapter { path: folder.join(ADAPTER_WEIGHTS), message };
    let mut layers = named_layers(&mut model);
    for (name, LoraLayer { rank, scale, up, down, .. }) in PeftAdapter::open(folder)?.into_linear_layers()? {
        let layer = layers.get_mut(&name).ok_or_else(|| wrong(format!("the model has no linear layer {name}")))?;
        let found = [down.len() / rank, up.len() / rank];
        if found != [layer.inputs(), layer.outputs()] {
            let [inputs, outputs] = found;
            return Err(wrong(format!(
                "{name} is for {inputs} inputs and {outputs} outputs, which does not fit the layer"
            )));
        }
        layer.adapter = Some(adapter(down, up, rank, scale));
    }
    drop(layers);
    Ok(model)
}
