//! Tensors in host memory.

use crate::Error;
use burn::tensor::{DType, Tensor};

/// A tensor in host memory: f32 values in row-major order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostTensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Values.
    pub data: Vec<f32>,
}

impl HostTensor {
    /// Reads a tensor back from its device.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] or [`Error::OutOfMemory`] when the device failed, now or in an earlier operation.
    pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Self, Error> {
        let shape = tensor.dims().to_vec();
        let data = tensor.cast(DType::F32).try_into_data().map_err(|error| Error::device(&error))?;
        let data = data.try_to_vec::<f32>().map_err(|error| Error::Device(format!("{error:?}")))?;
        Ok(Self { shape, data })
    }
}
