//! Adapters on their way into the weights of a checkpoint.

use std::collections::{BTreeMap, HashSet};

use smolvlm_config::ModelConfig;

use super::files::{LoraLayer, PeftAdapter};
use crate::encoding::scale_name;
use crate::error::Error;
use crate::header::{StoredTensor, readable};
use crate::stored::Weights;
use crate::weights::{LM_HEAD, TOKEN_EMBEDDINGS, TensorKind, TensorSpec, tensor_specs};

/// What is added to a stored tensor, seen as a matrix of `[first dimension, the others]`: a product of two thin ones.
#[derive(Debug)]
pub(crate) struct Change {
    rank: usize,
    /// `[rows, rank]`, with all factors.
    up: Vec<f32>,
    /// `[rank, columns]`.
    down: Vec<f32>,
}

impl Change {
    fn new(layer: &LoraLayer, weight: f32) -> Self {
        let factor = layer.scale * f64::from(weight);
        let up = layer.up.iter().map(|value| (f64::from(*value) * factor) as f32).collect();
        Self { rank: layer.rank, up, down: layer.down.clone() }
    }

    /// Adds a row.
    pub(crate) fn add_row(&self, row: usize, out: &mut [f32]) {
        let factors = self.up.get(row * self.rank..(row + 1) * self.rank).unwrap_or_default();
        for (factor, down) in factors.iter().zip(self.down.chunks_exact(out.len().max(1))) {
            out.iter_mut().zip(down).for_each(|(out, down)| *out += factor * down);
        }
    }
}

impl Weights {
    /// These weights with adapters merged in, one after the other, each with a weight that its change is multiplied with. The
    /// sums are made in f32 when a tensor is read. `config` is the configuration of the model that the weights are for.
    ///
    /// An adapter on one of two tied matrices, token embeddings and output projection, unties them, as PEFT does while it
    /// trains.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] for an adapter of another model, for one that replaces whole tensors and has another weight than 1,
    /// and for two of which one replaces what the other changes.
    pub fn with_adapters(
        mut self,
        config: &ModelConfig,
        adapters: impl IntoIterator<Item = (PeftAdapter, f32)>,
    ) -> Result<Self, Error> {
        let specs: BTreeMap<String, TensorSpec> = {
            let untied = ModelConfig { tie_word_embeddings: false, ..config.clone() };
            tensor_specs(&untied).into_iter().map(|spec| (spec.name.clone(), spec)).collect()
        };
        let mut seen = Touched::default();
        for (mut adapter, weight) in adapters {
            check_modules_to_save(&adapter, &specs)?;
            // PEFT saves tables that it changes along with their matrices.
            adapter.replaced.retain(|name, tensor| !self.holds(name, tensor, &adapter.file));
            let path = adapter.path.clone();
            let wrong = |message: String| Error::Adapter { path: path.clone(), message };
            if !weight.is_finite() {
                return Err(wrong(format!("its weight is {weight}")));
            }
            if let Some(name) = adapter.replaced.keys().next().filter(|_| weight != 1.0) {
                return Err(wrong(format!("it replaces {name} as a whole, so that its weight can be 1 only")));
            }
            let changes = changes(&adapter, weight, &specs).map_err(wrong)?;
            for (name, tensor) in &adapter.replaced {
                let spec = specs.get(name).ok_or_else(|| wrong(no_such(name)))?;
                if tensor.shape != spec.shape {
                    return Err(wrong(misfit(name, &tensor.shape, &spec.shape)));
                }
            }
            seen.add(&adapter, &changes).map_err(wrong)?;
            if config.tie_word_embeddings {
                self.untie(|name| changes.contains_key(name) || adapter.replaced.contains_key(name));
            }
            // Scales of codes that are replaced.
            for name in adapter.replaced.keys() {
                self.tensors.remove(&scale_name(name));
                self.changes.remove(name);
            }
            for (name, change) in changes {
                self.changes.entry(name).or_default().push(change);
            }
            let file = self.files.len();
            self.tensors.extend(adapter.replaced.into_iter().map(|(name, tensor)| (name, (file, tensor))));
            self.files.push(adapter.file.into());
        }
        Ok(self)
    }

    /// Whether the values that are stored for a tensor are those of an adapter's.
    fn holds(&self, name: &str, tensor: &StoredTensor, file: &[u8]) -> bool {
        self.tensor(name).is_some_and(|own| own.dtype == tensor.dtype && own.shape == tensor.shape)
            && file.get(tensor.range.clone()) == Some(self.bytes(name))
    }

    /// Gives the one of the two tied matrices that is not stored an entry of its own, if either of them is changed.
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

/// What the adapters of one call have touched.
#[derive(Default)]
struct Touched {
    changed: HashSet<String>,
    replaced: HashSet<String>,
}

impl Touched {
    /// Adds an adapter, unless it or one before it replaces what the other touches.
    fn add(&mut self, adapter: &PeftAdapter, changes: &BTreeMap<String, Change>) -> Result<(), String> {
        let replaced = adapter.replaced.keys();
        let twice = replaced.clone().find(|name| self.changed.contains(*name) || self.replaced.contains(*name));
        if let Some(name) = twice.or_else(|| changes.keys().find(|name| self.replaced.contains(*name))) {
            return Err(format!("{name} is touched by two adapters of which one replaces it; they cannot be combined"));
        }
        self.replaced.extend(replaced.cloned());
        self.changed.extend(changes.keys().cloned());
        Ok(())
    }
}

/// What an adapter adds, by the names of the tensors that it is added to.
fn changes(
    adapter: &PeftAdapter,
    weight: f32,
    specs: &BTreeMap<String, TensorSpec>,
) -> Result<BTreeMap<String, Change>, String> {
    let mut changes = BTreeMap::new();
    for (module, layer) in &adapter.layers {
        let name = format!("{module}.weight");
        let spec = specs.get(&name).filter(|spec| match spec.kind {
            TensorKind::Weight => !layer.is_embedding,
            TensorKind::Embedding => layer.is_embedding,
            TensorKind::Bias | TensorKind::Scale => false,
        });
        let spec = spec.ok_or_else(|| no_such(module))?;
        if layer.shape != spec.shape {
            return Err(misfit(module, &layer.shape, &spec.shape));
        }
        if let Some(bias) = &layer.bias {
            let name = format!("{module}.bias");
            if !specs.contains_key(&name) {
                return Err(format!("{module} has no bias that its adapter's could be added to"));
            }
            let factor = layer.scale * f64::from(weight);
            let up = bias.iter().map(|value| (f64::from(*value) * factor) as f32).collect();
            changes.insert(name, Change { rank: 1, up, down: vec![1.0] });
        }
        changes.insert(name, Change::new(layer, weight));
    }
    Ok(changes)
}

/// Refuses an adapter whose configuration says that it holds modules which it does not hold.
fn check_modules_to_save(adapter: &PeftAdapter, specs: &BTreeMap<String, TensorSpec>) -> Result<(), Error> {
    let is_module = |name: &str, wanted: &str| {
        let ends = name.match_indices('.').map(|(at, _)| &name[..at]);
        ends.into_iter().any(|module| module.ends_with(wanted))
    };
    let held = adapter.replaces();
    for wanted in adapter.config.modules_to_save() {
        let missing = specs.keys().find(|name| is_module(name, wanted) && !held.contains(name.as_str()));
        if let Some(name) = missing {
            let message = format!("modules_to_save names {}, but {name} is not there", readable(wanted));
            return Err(Error::Adapter { path: adapter.path.clone(), message });
        }
    }
    Ok(())
}

fn no_such(module: &str) -> String {
    format!("the model has no {} that it could change; it is an adapter of another model", readable(module))
}

fn misfit(name: &str, found: &[usize], wanted: &[usize]) -> String {
    format!("it changes {name} as {found:?}, the model has {wanted:?}; it is an adapter of another model")
}
