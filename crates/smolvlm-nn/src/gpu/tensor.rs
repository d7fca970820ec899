//! Access to the GPU buffers of Burn tensors.

use burn::backend::DispatchDevice;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::Cube;
#[cfg(feature = "fusion")]
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
#[cfg(feature = "fusion")]
use burn_fusion::custom::TensorIr;
use cubecl::RuntimeId;
use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};

pub use cubecl::server::Handle;

/// The CubeCL client of a device; `None` if it is not a GPU. CubeCL's CPU runtime is excluded: the kernels need many
/// units.
pub fn client(device: &Device) -> Option<Client> {
    match device.as_dispatch() {
        DispatchDevice::Cube(device) => (device.runtime() != RuntimeId::Cpu).then(|| device.client()),
        #[allow(unreachable_patterns, reason = "a build may have no other backend")]
        _ => None,
    }
}

/// The CubeCL element type of a data type; `None` if the kernels do not support it.
pub fn element(dtype: DType) -> Option<ElemType> {
    match dtype {
        DType::F32 => Some(ElemType::Float(FloatKind::F32)),
        DType::BF16 => Some(ElemType::Float(FloatKind::BF16)),
        DType::F16 => Some(ElemType::Float(FloatKind::F16)),
        _ => None,
    }
}

/// The buffer of a tensor on a GPU, in contiguous row-major order.
///
/// # Panics
///
/// When the tensor is not on a GPU.
pub fn buffer<const D: usize>(tensor: Tensor<D>) -> Handle {
    into_contiguous(cube_tensor(tensor)).handle
}

/// The buffer of a tensor for writing; the tensor is copied if its values are shared or not contiguous.
///
/// # Panics
///
/// When the tensor is not on a GPU.
pub fn own_buffer<const D: usize>(tensor: &mut Tensor<D>) -> Handle {
    let mut own = None;
    tensor.inplace(|tensor| {
        mapped(tensor, |tensor| {
            let tensor = into_contiguous(tensor);
            let tensor = if tensor.handle.can_mut() { tensor } else { tensor.copy() };
            own = Some(tensor.handle.clone());
            tensor
        })
    });
    own.expect("`inplace` calls its function")
}

/// Applies a function to the primitive of a tensor on a GPU; the result has the same shape and data type.
///
/// # Panics
///
/// When the tensor is not on a GPU.
pub(super) fn mapped<const D: usize>(tensor: Tensor<D>, map: impl FnOnce(CubeTensor) -> CubeTensor) -> Tensor<D> {
    let shape = tensor.dims();
    mapped_to(tensor, shape, map)
}

/// [`mapped`] with a result of another shape.
pub(super) fn mapped_to<const D: usize, const E: usize>(
    tensor: Tensor<D>,
    shape: [usize; E],
    map: impl FnOnce(CubeTensor) -> CubeTensor,
) -> Tensor<E> {
    let primitive = primitive(tensor);
    #[cfg(feature = "fusion")]
    let (fusion, output) = (primitive.client.clone(), TensorIr { shape: shape.into(), ..primitive.to_ir_out() });
    let found = map(resolved(primitive));
    debug_assert_eq!(found.meta.shape().as_slice(), shape);
    #[cfg(feature = "fusion")]
    let found = fused::tensor(fusion, output, found);
    Tensor::from_primitive::<Cube>(found)
}

/// The CubeCL primitive of a tensor on a GPU.
pub(super) fn cube_tensor<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    resolved(primitive(tensor))
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Cube> {
    match tensor.try_into_primitive::<Cube>() {
        Ok(primitive) => primitive,
        Err(error) => panic!("the tensor must be on a GPU: {error:?}"),
    }
}

/// Resolves a tensor of the fusion backend, executing its pending operations.
fn resolved(primitive: FloatTensor<Cube>) -> CubeTensor {
    #[cfg(feature = "fusion")]
    let primitive = primitive.client.clone().resolve_tensor_float::<CubeBackend>(primitive);
    primitive
}

#[cfg(feature = "fusion")]
mod fused {
    //! Registration of tensors with Burn's fusion backend, which accepts tensors only as results of operations.

    use burn_cubecl::fusion::FusionCubeRuntime;
    use burn_cubecl::tensor::CubeTensor;
    use burn_fusion::custom::{CustomOpIr, HandleContainer, Operation, OperationIr, StreamId, TensorIr};
    use burn_fusion::{Client, ExecutionError, FusionRuntime, FusionTensor};

    type FusionHandle = <FusionCubeRuntime as FusionRuntime>::FusionHandle;

    /// An operation that returns an existing tensor.
    #[derive(Debug)]
    struct Known {
        output: TensorIr,
        tensor: CubeTensor,
    }

    impl Operation<FusionCubeRuntime> for Known {
        fn execute(&self, handles: &mut HandleContainer<FusionHandle>) -> Result<(), ExecutionError> {
            handles.register_handle(self.output.id, self.tensor.clone().into());
            Ok(())
        }
    }

    /// Wraps a tensor with the shape and data type of `output`.
    pub(super) fn tensor(
        client: Client<FusionCubeRuntime>,
        mut output: TensorIr,
        tensor: CubeTensor,
    ) -> FusionTensor<FusionCubeRuntime> {
        output.id = client.create_empty_handle();
        let operation = OperationIr::Custom(CustomOpIr::new("known", &[], std::slice::from_ref(&output)));
        let mut outputs = client.register(StreamId::current(), operation, Known { output, tensor });
        outputs.pop().expect("an operation with one output")
    }
}
