//! Saving of a model's weights.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Dtype, View};
use smolvlm_config::FloatType;

use crate::convert::{dtype, to_bytes};
use crate::error::Error;
use crate::file::write_file;
use crate::model::SmolVlmModel;
use crate::parameter_path::ParameterPath;
use crate::weights::{LM_HEAD, lm_head_spec, tensor_specs};

impl SmolVlmModel {
    /// Saves the weights, rounded to `float`, as one safetensors file with the names of the released checkpoints.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownParameter`] when weights are packed, [`Error::Io`] when the file cannot be written,
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
            tensors.push((spec.name, SavedTensor { float, shape: spec.shape, bytes: to_bytes(data) }));
        }
        write_file(tensors, path.as_ref(), || Ok(()))
    }
}

struct TensorReader {
    float: FloatType,
    path: ParameterPath,
    tensors: HashMap<String, TensorData>,
    error: Option<Error>,
}

impl ModuleVisitor for TensorReader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
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

struct SavedTensor {
    float: FloatType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for SavedTensor {
    fn dtype(&self) -> Dtype {
        match self.float {
            FloatType::F32 => Dtype::F32,
            FloatType::Bf16 => Dtype::BF16,
            FloatType::F16 => Dtype::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
