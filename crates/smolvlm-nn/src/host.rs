//! Access to tensors of Burn's CPU backend as slices.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::FlexTensor;
use smolvlm_kernels::cpu::Matrix;

/// The f32 values of a tensor in host memory, without a copy where possible.
#[derive(Debug, Clone)]
pub struct HostValues(FlexTensor);

impl HostValues {
    /// Borrows the values of a tensor on Burn's CPU backend, row-major. They are copied only if the data type differs
    /// or the tensor is not contiguous.
    ///
    /// # Panics
    ///
    /// When the tensor is on another device: packed weights exist on the CPU only.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        Self(flex(tensor.cast(DType::F32)).to_contiguous())
    }
}

#[cfg(feature = "autodiff")]
impl HostValues {
    /// Shape of the tensor.
    pub(crate) fn shape(&self) -> burn::tensor::Shape {
        self.0.layout().shape().clone()
    }
}

/// Values of an f32 tensor, copied only if it is not contiguous.
#[cfg(feature = "autodiff")]
impl From<FlexTensor> for HostValues {
    fn from(tensor: FlexTensor) -> Self {
        Self(if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() })
    }
}

impl std::ops::Deref for HostValues {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // Contiguous, so there is a slice.
        self.0.as_slice().unwrap_or_default()
    }
}

fn flex<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    match tensor.try_into_primitive::<Flex>() {
        Ok(tensor) => tensor,
        Err(error) => panic!("packed weights require tensors on the CPU backend: {error:?}"),
    }
}

/// Lets `change` modify the values of an f32 tensor, in place if its storage is not shared.
///
/// # Panics
///
/// When the tensor is on another device or has another data type.
pub fn modify<const D: usize>(tensor: Tensor<D>, change: impl FnOnce(&mut [f32])) -> Tensor<D> {
    let mut tensor = flex(tensor);
    if !tensor.is_contiguous() || tensor.layout().start_offset() != 0 {
        tensor = tensor.to_contiguous();
    }
    change(tensor.storage_mut::<f32>());
    Tensor::from_primitive::<Flex>(tensor)
}

/// Copies a matrix to a tensor on Burn's CPU backend.
pub fn tensor_of<const D: usize>(matrix: &Matrix<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(matrix.to_vec(), shape), &burn::tensor::Device::flex())
}
