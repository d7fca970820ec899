//! Loading of tensors into the parameters of a module.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use smolvlm_config::FloatType;

use crate::convert::dtype;
use crate::error::Error;
use crate::format::WeightFormat;
use crate::parameter_path::ParameterPath;
use crate::weights::EMBEDDINGS_PATH;

/// A source of values for every parameter.
pub(crate) trait TensorSource {
    /// The values of the parameter at `path`, of type `float` and shape `shape`.
    fn tensor(&self, path: &str, shape: &[usize], float: FloatType) -> Result<TensorData, Error>;

    /// The rows of the parameter at `path`, which has the shape `shape`.
    #[cfg(feature = "flex")]
    fn rows(&self, path: &str, shape: &[usize]) -> Result<RowSource<'_>, Error>;

    /// Frees resources of the parameter at `path` when its rows are no longer needed.
    fn release(&self, _path: &str) {}
}

/// A function that fills a slice with the row of an index.
#[cfg(feature = "flex")]
pub(crate) type RowSource<'a> = Box<dyn Fn(usize, &mut [f32]) + Sync + 'a>;

/// Replaces every float parameter of `module` by its tensor from `source`.
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
    format: WeightFormat,
) -> Result<M, Error> {
    let mut loader = ParameterLoader { source, device, format, path: ParameterPath::default(), error: None };
    let module = module.map(&mut loader);
    match loader.error {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

struct ParameterLoader<'a, S> {
    source: &'a S,
    device: &'a Device,
    format: WeightFormat,
    path: ParameterPath,
    error: Option<Error>,
}

impl<S: TensorSource> ModuleMapper for ParameterLoader<'_, S> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let path = self.path.to_string();
        let float = if path == EMBEDDINGS_PATH { self.format.embeddings() } else { self.format.activations() };
        match self.source.tensor(&path, param.lazy_shape().as_slice(), float) {
            Ok(data) => {
                // Weights live as long as the model: devices with memory pools allocate them separately.
                let tensor = self
                    .device
                    .memory_persistent_allocations(data, |data| Tensor::from_data(data, (self.device, dtype(float))));
                Param::initialized(param.id, tensor)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
