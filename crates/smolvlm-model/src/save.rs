//! Saving of a model's weights.

use std::collections::HashMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use smolvlm_checkpoint::{LM_HEAD, NamedTensor, Values, lm_head_spec, tensor_specs, write_checkpoint};
use smolvlm_config::FloatType;

use crate::error::Error;
use crate::format::dtype;
use crate::model::SmolVlmModel;
use crate::parameter_path::ParameterPath;

impl SmolVlmModel {
    /// Saves the weights, rounded to `float`, as one safetensors file with the names of the released checkpoints.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownParameter`] when weights are packed, [`Error::Checkpoint`] when the file cannot be written,
    /// [`Error::Device`].
    pub fn save(&self, float: FloatType, path: impl AsRef<Path>) -> Result<(), Error> {
        let mut reader = TensorReader { float, path: ParameterPath::default(), tensors: HashMap::new(), error: None };
        self.visit(&mut reader);
        if let Some(error) = reader.error {
            return Err(error);
        }
        let mut specs = tensor_specs(self.config());
        // A separate projection takes precedence over a configuration that ties it.
        specs.retain(|spec| spec.name != LM_HEAD);
        if self.lm_head.is_some() {
            specs.push(lm_head_spec(self.config()));
        }
        let mut tensors = Vec::with_capacity(specs.len());
        for spec in specs {
            let data = reader.tensors.remove(&spec.module_path);
            let data = data.filter(|data| data.shape().as_slice() == spec.shape);
            let data = data.ok_or_else(|| Error::UnknownParameter(spec.module_path.clone()))?;
            tensors.push(NamedTensor { name: spec.name, shape: spec.shape, values: values(data, float)? });
        }
        Ok(write_checkpoint(tensors, path)?)
    }
}

struct TensorReader {
    float: FloatType,
    path: ParameterPath,
    tensors: HashMap<String, TensorData>,
    error: Option<Error>,
}

impl ModuleVisitor for TensorReader {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match param.val().inner().cast(dtype(self.float)).try_into_data() {
            Ok(data) => {
                self.tensors.insert(self.path.to_string(), data);
            }
            Err(error) => self.error = Some(Error::device(&error)),
        }
    }
}

/// The values of a tensor of type `float`.
fn values(data: TensorData, float: FloatType) -> Result<Values, Error> {
    let values = match float {
        FloatType::F32 => data.try_into_vec().map(Values::F32),
        FloatType::Bf16 => data.try_into_vec().map(Values::Bf16),
        FloatType::F16 => data.try_into_vec().map(Values::F16),
    };
    values.map_err(|error| Error::Device(format!("{error:?}")))
}
