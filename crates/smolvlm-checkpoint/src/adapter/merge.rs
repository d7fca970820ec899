//! Merging of adapters into the weights of a checkpoint.

use std::collections::{BTreeMap, HashSet};

use smolvlm_config::ModelConfig;

use super::files::{LoraLayer, PeftAdapter};
use crate::encoding::scale_name;
use crate::error::Error;
use crate::header::{StoredTensor, readable};
use crate::tensor_specs::{LM_HEAD, TOKEN_EMBEDDINGS, TensorKind, TensorSpec, tensor_specs};
use crate::weights::Weights;

/// The low-rank update of a stored tensor, treated as a matrix of `[first dimension, the others]`.
#[derive(Debug)]
pub(crate) struct LoraDelta {
    rank: usize,
    /// `[rows, rank]`, including scale and adapter weight.
    up: Vec<f32>,
    /// `[rank, columns]`.
    down: Vec<f32>,
}

impl LoraDelta {
    fn new(layer: &LoraLayer, weight: f32) -> Self {
        let factor = layer.scale * f64::from(weight);
        let up = layer.up.iter().map(|value| (f64::from(*value) * factor) as f32).collect();
        Self { rank: layer.rank, up, down: layer.down.clone() }
    }

    /// The two factors, including scale and adapter weight.
    pub(crate) fn factors(&self) -> [&[f32]; 2] {
        [&self.up, &self.down]
    }

    /// Adds a row of the update to `out`.
    pub(crate) fn add_row(&self, row: usize, out: &mut [f32]) {
        let factors = self.up.get(row * self.rank..(row + 1) * self.rank).unwrap_or_default();
        for (factor, down) in factors.iter().zip(self.down.chunks_exact(out.len().max(1))) {
            out.iter_mut().zip(down).for_each(|(out, down)| *out += factor * down);
        }
    }
}

impl Weights {
    /// Merges adapters in order; each has a weight by which its update is multiplied. The sums are computed in f32 when
    /// a tensor is read. `config` is the configuration of the model.
    ///
    /// An adapter on one of the two tied matrices, token embeddings and output projection, unties them, as PEFT does
    /// during training.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] for an adapter of another model, for one that replaces whole tensors and has a weight other
    /// than 1, and for two adapters if one replaces a tensor that the other changes.
    pub fn with_adapters(
        mut self,
        config: &ModelConfig,
        adapters: impl IntoIterator<Item = (PeftAdapter, f32)>,
    ) -> Result<Self, Error> {
        let specs: BTreeMap<String, TensorSpec> = {
            let untied = ModelConfig { tie_word_embeddings: false, ..config.clone() };
            tensor_specs(&untied).into_iter().map(|spec| (spec.name.clone(), spec)).collect()
        };
        let mut touched = TouchedTensors::default();
        for (mut adapter, weight) in adapters {
            check_modules_to_save(&adapter, &specs)?;
            // PEFT saves the original embedding tables together with their LoRA matrices.
            adapter.replaced.retain(|name, tensor| !self.holds(name, tensor, &adapter.file));
            let path = adapter.path.clone();
            let wrong = |message: String| Error::Adapter { path: path.clone(), message };
            if !weight.is_finite() {
                return Err(wrong(format!("its weight is {weight}")));
            }
            if let Some(name) = adapter.replaced.keys().next().filter(|_| weight != 1.0) {
                return Err(wrong(format!("it replaces {name} as a whole, so its weight must be 1")));
            }
            let deltas = deltas(&adapter, weight, &specs).map_err(wrong)?;
            for (name, tensor) in &adapter.replaced {
                let spec = specs.get(name).ok_or_else(|| wrong(unknown_module(name)))?;
                if tensor.shape != spec.shape {
                    return Err(wrong(shape_mismatch(name, &tensor.shape, &spec.shape)));
                }
            }
            touched.add(&adapter, &deltas).map_err(wrong)?;
            if config.tie_word_embeddings {
                self.untie(|name| deltas.contains_key(name) || adapter.replaced.contains_key(name));
            }
            // Replaced matrices lose their quantization scales and earlier updates.
            for name in adapter.replaced.keys() {
                self.tensors.remove(&scale_name(name));
                self.deltas.remove(name);
            }
            for (name, delta) in deltas {
                self.deltas.entry(name).or_default().push(delta);
            }
            let file = self.files.len();
            self.tensors.extend(adapter.replaced.into_iter().map(|(name, tensor)| (name, (file, tensor))));
            self.files.push(adapter.file.into());
        }
        Ok(self)
    }

    /// Whether a tensor is stored with the same values as in an adapter's file.
    fn holds(&self, name: &str, tensor: &StoredTensor, file: &[u8]) -> bool {
        self.tensor(name).is_some_and(|own| own.dtype == tensor.dtype && own.shape == tensor.shape)
            && file.get(tensor.range.clone()) == Some(self.bytes(name))
    }

    /// Adds a separate entry for the tied matrix that is not stored, if either of the two is changed.
    fn untie(&mut self, is_changed: impl Fn(&str) -> bool) {
        if !is_changed(LM_HEAD) && !is_changed(TOKEN_EMBEDDINGS) {
            return;
        }
        for (missing, stored) in [(LM_HEAD, TOKEN_EMBEDDINGS), (TOKEN_EMBEDDINGS, LM_HEAD)] {
            if let Some(entry) = self.tensors.get(stored).cloned()
                && !self.tensors.contains_key(missing)
            {
                self.tensors.insert(missing.to_owned(), entry);
                if let Some(scale) = self.tensors.get(&scale_name(stored)).cloned() {
                    self.tensors.insert(scale_name(missing), scale);
                }
            }
        }
    }
}

/// Names of the tensors that the adapters of one call change or replace.
#[derive(Default)]
struct TouchedTensors {
    changed: HashSet<String>,
    replaced: HashSet<String>,
}

impl TouchedTensors {
    /// Adds an adapter; an error if it or an earlier one replaces a tensor that the other changes or replaces.
    fn add(&mut self, adapter: &PeftAdapter, deltas: &BTreeMap<String, LoraDelta>) -> Result<(), String> {
        let replaced = adapter.replaced.keys();
        let twice = replaced.clone().find(|name| self.changed.contains(*name) || self.replaced.contains(*name));
        if let Some(name) = twice.or_else(|| deltas.keys().find(|name| self.replaced.contains(*name))) {
            return Err(format!("two adapters change {name} and one of them replaces it; they cannot be combined"));
        }
        self.replaced.extend(replaced.cloned());
        self.changed.extend(deltas.keys().cloned());
        Ok(())
    }
}

/// The low-rank updates of an adapter by tensor name.
fn deltas(
    adapter: &PeftAdapter,
    weight: f32,
    specs: &BTreeMap<String, TensorSpec>,
) -> Result<BTreeMap<String, LoraDelta>, String> {
    let mut deltas = BTreeMap::new();
    for (module, layer) in &adapter.layers {
        let name = format!("{module}.weight");
        let spec = specs.get(&name).filter(|spec| match spec.kind {
            TensorKind::Weight => !layer.is_embedding,
            TensorKind::Embedding => layer.is_embedding,
            TensorKind::Bias | TensorKind::Scale => false,
        });
        let spec = spec.ok_or_else(|| unknown_module(module))?;
        if layer.shape != spec.shape {
            return Err(shape_mismatch(module, &layer.shape, &spec.shape));
        }
        if let Some(bias) = &layer.bias {
            let name = format!("{module}.bias");
            if !specs.contains_key(&name) {
                return Err(format!("the adapter changes the bias of {module}, which has no bias"));
            }
            let factor = layer.scale * f64::from(weight);
            let up = bias.iter().map(|value| (f64::from(*value) * factor) as f32).collect();
            deltas.insert(name, LoraDelta { rank: 1, up, down: vec![1.0] });
        }
        deltas.insert(name, LoraDelta::new(layer, weight));
    }
    Ok(deltas)
}

/// Checks that an adapter contains all modules of `modules_to_save` in its configuration.
fn check_modules_to_save(adapter: &PeftAdapter, specs: &BTreeMap<String, TensorSpec>) -> Result<(), Error> {
    let is_module = |name: &str, wanted: &str| {
        let ends = name.match_indices('.').map(|(at, _)| &name[..at]);
        ends.into_iter().any(|module| module.ends_with(wanted))
    };
    let held = adapter.replaced_names();
    for wanted in adapter.config.modules_to_save() {
        let missing = specs.keys().find(|name| is_module(name, wanted) && !held.contains(name.as_str()));
        if let Some(name) = missing {
            let message = format!("modules_to_save names {}, but {name} is missing", readable(wanted));
            return Err(Error::Adapter { path: adapter.path.clone(), message });
        }
    }
    Ok(())
}

fn unknown_module(module: &str) -> String {
    format!("the model has no {}; it is an adapter of another model", readable(module))
}

fn shape_mismatch(name: &str, found: &[usize], wanted: &[usize]) -> String {
    format!("{name} has the shape {found:?} in the adapter, {wanted:?} in the model; it is an adapter of another model")
}
