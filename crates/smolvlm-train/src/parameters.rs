//! The parameters of a model by index, in module order.

use crate::Error;
use crate::random::Random;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use smolvlm_checkpoint::{TensorKind, TensorSpec, tensor_specs};
use smolvlm_config::ModelConfig;
use smolvlm_model::{ParameterPath, SmolVlmModel};
use smolvlm_nn::{HostValues, modify};
use std::collections::HashMap;

/// Training metadata of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    /// Name in the checkpoint.
    pub(crate) name: String,
    pub(crate) len: usize,
    /// Whether it is updated.
    pub(crate) trainable: bool,
    /// Whether weight decay applies.
    pub(crate) decays: bool,
    /// Number of outputs (rows) of a weight matrix of the model; none for everything else.
    pub(crate) outputs: Option<usize>,
}

/// All parameters in module order.
///
/// # Errors
///
/// [`Error::NoSuchParameter`] for a pattern that matches none.
pub(crate) fn parameters(model: &SmolVlmModel, freeze: &[String]) -> Result<Vec<Parameter>, Error> {
    let specs = specs_by_path(model.config());
    let mut lister = Lister { path: ParameterPath::default(), found: Vec::new() };
    model.visit(&mut lister);
    // If there are adapters, only they are trained.
    let adapted = lister.found.iter().any(|(path, _)| adapter_name(&specs, path).is_some());
    let mut parameters: Vec<Parameter> = lister
        .found
        .into_iter()
        .map(|(path, len)| match (specs.get(&path), adapter_name(&specs, &path)) {
            (Some(spec), _) => {
                let decays = spec.kind == TensorKind::Weight;
                let outputs = spec.shape.first().copied().filter(|_| decays);
                Parameter { name: spec.name.clone(), len, trainable: !adapted, decays, outputs }
            }
            (None, name) => Parameter { name: name.unwrap_or(path), len, trainable: true, decays: true, outputs: None },
        })
        .collect();
    for pattern in freeze {
        let mut any = false;
        for parameter in parameters.iter_mut().filter(|parameter| matches(pattern, &parameter.name)) {
            parameter.trainable = false;
            any = true;
        }
        if !any {
            let example = parameters.first().map(|parameter| parameter.name.clone()).unwrap_or_default();
            return Err(Error::NoSuchParameter { pattern: pattern.clone(), example });
        }
    }
    Ok(parameters)
}

/// The name of an adapter's matrix, from its path in the model.
fn adapter_name(specs: &HashMap<String, TensorSpec>, path: &str) -> Option<String> {
    let (layer, matrix) = path.rsplit_once(".adapter.")?;
    Some(format!("{}.{}", module_name(specs, layer)?, if matrix == "down" { DOWN } else { UP }))
}

/// The name of a linear layer in the checkpoint, from its path in the model.
pub(crate) fn module_name(specs: &HashMap<String, TensorSpec>, path: &str) -> Option<String> {
    specs.get(&format!("{path}.weight"))?.name.strip_suffix(".weight").map(str::to_owned)
}

/// Name of an adapter's down-projection, relative to its layer.
pub(crate) const DOWN: &str = "lora_A.weight";
/// Name of an adapter's up-projection, relative to its layer.
pub(crate) const UP: &str = "lora_B.weight";

/// Tensors of a checkpoint by the path of their parameter, including the output projection.
pub(crate) fn specs_by_path(config: &ModelConfig) -> HashMap<String, TensorSpec> {
    let mut untied = config.clone();
    untied.tie_word_embeddings = false;
    tensor_specs(&untied).into_iter().map(|spec| (spec.module_path.clone(), spec)).collect()
}

/// Whether a name matches a pattern in which `*` matches any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

struct Lister {
    path: ParameterPath,
    found: Vec<(String, usize)>,
}

impl ModuleVisitor for Lister {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push((self.path.to_string(), param.lazy_shape().num_elements()));
    }
}

/// A copy of the model that shares its values and, with `gradients`, tracks gradients of the trainable parameters.
pub(crate) fn track_gradients(model: &SmolVlmModel, parameters: &[Parameter], gradients: bool) -> SmolVlmModel {
    struct Tracker<'a> {
        parameters: std::slice::Iter<'a, Parameter>,
        gradients: bool,
    }
    impl ModuleMapper for Tracker<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let trainable = self.parameters.next().is_some_and(|parameter| parameter.trainable) && self.gradients;
            let values = param.val().inner().autodiff();
            // Each copy has its own leaves, so the autodiff graphs of different threads are independent.
            let leaf = if trainable { values.require_grad() } else { values };
            Param::initialized(param.id, leaf).set_require_grad(trainable)
        }
    }
    model.clone().map(&mut Tracker { parameters: parameters.iter(), gradients })
}

/// Accumulates the gradients of a model into sums; parameters without a gradient are skipped.
pub(crate) fn add_gradients(model: &SmolVlmModel, gradients: &mut Gradients, sums: &mut [Vec<f32>]) {
    struct Collector<'a> {
        gradients: &'a mut Gradients,
        sums: std::slice::IterMut<'a, Vec<f32>>,
    }
    impl ModuleVisitor for Collector<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(sum) = self.sums.next() else { return };
            let Some(gradient) = param.val().grad_remove(self.gradients) else { return };
            let gradient = HostValues::of(gradient);
            if sum.is_empty() {
                sum.extend_from_slice(&gradient);
            } else {
                sum.iter_mut().zip(&gradient[..]).for_each(|(sum, value)| *sum += value);
            }
        }
    }
    model.visit(&mut Collector { gradients, sums: sums.iter_mut() });
}

/// Updates the values of every parameter in place; `update` takes its index and values.
pub(crate) fn update_parameters(model: SmolVlmModel, update: impl FnMut(usize, &mut [f32])) -> SmolVlmModel {
    struct Updater<F> {
        update: F,
        next: usize,
    }
    impl<F: FnMut(usize, &mut [f32])> ModuleMapper for Updater<F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let number = self.next;
            self.next += 1;
            let (id, values, _) = param.consume();
            Param::initialized(id, modify(values, |values| (self.update)(number, values)))
        }
    }
    model.map(&mut Updater { update, next: 0 })
}

/// Initializes a model for training from scratch. Matrices and embeddings are normally distributed with the
/// configuration's standard deviation (`initializer_range`). Output matrices of residual branches are scaled down by
/// the square root of twice the depth (Radford et al. 2019, "Language models are unsupervised multitask learners"). The
/// patch embedding and the connector have a standard deviation of 1/sqrt(inputs) (LeCun et al. 1998, "Efficient
/// backprop"). Biases are zero, norm scales one.
///
/// # Errors
///
/// When the configuration contradicts itself.
pub fn initial_model(config: &ModelConfig, seed: u64) -> Result<SmolVlmModel, Error> {
    struct Initializer {
        path: ParameterPath,
        specs: HashMap<String, TensorSpec>,
        depths: [usize; 2],
        ranges: [f64; 2],
        seed: u64,
        next: u64,
    }
    impl Initializer {
        fn deviation(&self, path: &str, spec: &TensorSpec) -> f64 {
            let vision = path.starts_with("vision.");
            let (depth, range) = (self.depths[usize::from(vision)], self.ranges[usize::from(vision)]);
            let inputs: usize = spec.shape.iter().skip(1).product();
            if path.contains("patch_embedding") || path.starts_with("connector.") {
                1.0 / (inputs as f64).sqrt()
            } else if ["o_proj.weight", "down_proj.weight", "out_proj.weight", "fc2.weight"]
                .iter()
                .any(|end| path.ends_with(end))
            {
                range / (2.0 * depth as f64).sqrt()
            } else {
                range
            }
        }
    }
    impl ModuleMapper for Initializer {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.enter(name);
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let path = self.path.to_string();
            let Some(spec) = self.specs.get(&path) else { return param };
            let len = spec.elements();
            let values = match spec.kind {
                TensorKind::Bias => vec![0.0; len],
                TensorKind::Scale => vec![1.0; len],
                TensorKind::Weight | TensorKind::Embedding => {
                    let deviation = self.deviation(&path, spec) as f32;
                    let mut random = Random::new(self.seed, self.next);
                    let mut values: Vec<f32> = (0..len.div_ceil(2)).flat_map(|_| random.normal_pair()).collect();
                    values.truncate(len);
                    values.iter_mut().for_each(|value| *value *= deviation);
                    values
                }
            };
            self.next += 1;
            let data = TensorData::new(values, spec.shape.clone());
            Param::initialized(param.id, Tensor::from_data(data, &Device::flex()))
        }
    }
    config.validate().map_err(smolvlm_model::Error::from)?;
    let mut initializer = Initializer {
        path: ParameterPath::default(),
        specs: specs_by_path(config),
        depths: [config.text.num_hidden_layers, config.vision.num_hidden_layers],
        ranges: [config.text.initializer_range, config.vision.initializer_range],
        seed,
        next: 0,
    };
    Ok(SmolVlmModel::init(config, &Device::flex()).map(&mut initializer))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_match_any_text() {
        let name = "model.text_model.layers.3.mlp.up_proj.weight";
        for pattern in ["*", name, "model.text_model.*", "*.weight", "*layers.*.mlp.*", "model*3*weight", "*proj*"] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in ["", "model", "text_model.*", "*.bias", "*layers.4*", "*weight*mlp*", "*.weight.x"] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }
}
