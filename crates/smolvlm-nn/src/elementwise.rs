//! Multithreaded elementwise functions on tensors of Burn's CPU backend, whose own implementations call
//! the system's math library for one value at a time, in one thread.

use burn::backend::Flex;
use burn::tensor::{DType, Device, Tensor};
use rayon::prelude::*;

/// Values per task.
const CHUNK: usize = 1 << 14;

/// Lets a function change slices of the values of an f32 tensor on the CPU backend, in place if its storage is not
/// shared. For other tensors it calls `otherwise`, which does the same with the backend's own operations.
pub(crate) fn map<const D: usize>(
    x: Tensor<D>,
    function: impl Fn(&mut [f32]) + Sync,
    otherwise: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    if x.dtype() != DType::F32 || x.device() != Device::flex() {
        return otherwise(x);
    }
    let kept = x.clone();
    let Ok(primitive) = x.try_into_primitive::<Flex>() else { return otherwise(kept) };
    drop(kept);
    let mut contiguous = primitive.to_contiguous();
    drop(primitive);
    contiguous.storage_mut::<f32>().par_chunks_mut(CHUNK).for_each(&function);
    Tensor::from_primitive::<Flex>(contiguous)
}

#[cfg(test)]
mod tests {
    use super::map;
    use burn::tensor::{DType, Device, Tensor};

    #[test]
    fn every_value_is_mapped_once_in_any_layout() {
        let values: Vec<f32> = (0..40_000).map(|value| value as f32).collect();
        let x = Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([200, 200]);
        let unused = |_| panic!("an f32 tensor on the CPU must not take the fallback");
        let plus = map(x.clone(), |values| values.iter_mut().for_each(|value| *value += 1.0), unused);
        assert!((plus - x.clone()).equal(Tensor::ones([200, 200], &Device::flex())).all().into_scalar::<bool>());
        let part = x.clone().transpose().narrow(0, 3, 50);
        let twice = map(part.clone(), |values| values.iter_mut().for_each(|value| *value *= 2.0), unused);
        assert!(twice.equal(part * 2.0).all().into_scalar::<bool>());
        // The shared original is unchanged.
        assert_eq!(x.into_data().try_to_vec::<f32>().unwrap(), values);
    }

    #[test]
    fn other_data_types_use_the_fallback() {
        let x = Tensor::<1>::zeros([3], (&Device::flex(), DType::BF16));
        let y = map(x, |values| values.fill(5.0), |x| x + 1.0);
        assert!(y.equal_elem(1.0).all().into_scalar::<bool>());
    }
}
