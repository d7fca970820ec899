//! Loading of tensors into the parameters of a module.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use smolvlm_checkpoint::{TensorSource, Values};
use smolvlm_config::FloatType;

use crate::error::Error;
use crate::format::dtype;
use crate::parameter_path::ParameterPath;

/// Replaces every float parameter of `module` by its tensor from `source`, of type `float`.
///
/// The parameters of `module` should be lazy: they are replaced without being initialized, so memory holds the result
/// and one more tensor.
///
/// # Errors
///
/// The first error of the source.
pub(crate) fn load_parameters<M: Module>(
    module: M,
    source: &impl TensorSource,
    device: &Device,
    float: FloatType,
) -> Result<M, Error> {
    let mut loader = ParameterLoader { source, device, float, path: ParameterPath::default(), error: None };
    let module = module.map(&mut loader);
    match loader.error {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

struct ParameterLoader<'a, S> {
    source: &'a S,
    device: &'a Device,
    float: FloatType,
    path: ParameterPath,
    error: Option<Error>,
}

impl<S: TensorSource> ModuleMapper for ParameterLoader<'_, S> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let path = self.path.to_string();
        let shape = param.lazy_shape();
        match self.source.tensor(&path, shape.as_slice(), self.float) {
            Ok(values) => {
                let data = tensor_data(values, shape.as_slice());
                // Weights live as long as the model: devices with memory pools allocate them separately.
                let options = (self.device, dtype(self.float));
                let tensor = self.device.memory_persistent_allocations(data, |data| Tensor::from_data(data, options));
                Param::initialized(param.id, tensor)
            }
            Err(error) => {
                self.error = Some(error.into());
                param
            }
        }
    }
}

/// Wraps the values of a tensor without a copy.
fn tensor_data(values: Values, shape: &[usize]) -> TensorData {
    match values {
        Values::F32(values) => TensorData::new(values, shape.to_vec()),
        Values::Bf16(values) => TensorData::new(values, shape.to_vec()),
        Values::F16(values) => TensorData::new(values, shape.to_vec()),
    }
}
