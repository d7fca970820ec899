//! Activation functions on tensors.

use burn::tensor::{DType, Tensor, activation};
use smolvlm_config::HiddenAct;
use smolvlm_kernels::Activation;

/// The activation function that a configuration selects.
pub fn activation_kernel(function: HiddenAct) -> Activation {
    match function {
        HiddenAct::GeluTanh => Activation::GeluTanh,
        HiddenAct::Gelu => Activation::Gelu,
        HiddenAct::Silu => Activation::Silu,
        HiddenAct::Relu => Activation::Relu,
    }
}

/// Applies an activation function to every value of a tensor of any shape. Half-precision results are rounded once, at
/// the end.
pub fn activate<const D: usize>(function: Activation, x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "autodiff")]
    if let Some(y) = crate::autodiff::activate(function, &x) {
        return y;
    }
    #[cfg(feature = "cubecl")]
    if let Some(y) = crate::gpu::activate(function, &x, None) {
        return y;
    }
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let on_tensors = |x: Tensor<D>| match function {
        Activation::GeluTanh => gelu_tanh(x),
        Activation::Gelu => activation::gelu(x),
        Activation::Silu => activation::sigmoid(x.clone()) * x,
        Activation::Relu => activation::relu(x),
    };
    #[cfg(feature = "flex")]
    let y = crate::elementwise::map(x, |values| function.apply(values), on_tensors);
    #[cfg(not(feature = "flex"))]
    let y = on_tensors(x);
    y.cast(dtype)
}

/// Gated activation: `function(gate) * x`, elementwise on tensors of any shape.
pub fn gate<const D: usize>(function: Activation, gate: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "autodiff")]
    if let Some(y) = crate::autodiff::gate(function, &gate, &x) {
        return y;
    }
    #[cfg(feature = "cubecl")]
    if let Some(y) = crate::gpu::activate(function, &gate, Some(&x)) {
        return y;
    }
    activate(function, gate) * x
}

/// GELU's tanh approximation as `z sigmoid(2u)`, which equals `0.5 z (1 + tanh(u))` but avoids the cancellation where
/// `tanh(u)` is close to -1.
fn gelu_tanh<const D: usize>(z: Tensor<D>) -> Tensor<D> {
    const SCALE: f64 = Activation::GELU_SCALE;
    let slope = z.clone() * z.clone() * (SCALE * Activation::GELU_CUBIC) + SCALE;
    activation::sigmoid(slope * z.clone()) * z
}

#[cfg(test)]
mod tests {
    use super::activate;
    use crate::Activation;
    use burn::tensor::{DType, Device, Distribution, Tensor};

    #[test]
    fn half_precision_is_rounded_once() {
        for dtype in [DType::BF16, DType::F16] {
            let x = Tensor::<1>::random([4096], Distribution::Normal(0.0, 3.0), &Device::flex()).cast(dtype);
            for function in [Activation::GeluTanh, Activation::Gelu, Activation::Silu, Activation::Relu] {
                let found = activate(function, x.clone());
                assert_eq!(found.dtype(), dtype);
                let wanted = activate(function, x.clone().cast(DType::F32)).cast(dtype);
                assert!(found.equal(wanted).all().into_scalar::<bool>(), "{function:?} in {dtype:?}");
            }
        }
    }

    #[test]
    fn large_values_stay_finite() {
        for function in [Activation::GeluTanh, Activation::Gelu, Activation::Silu, Activation::Relu] {
            let x = Tensor::<1>::from_data([-1e4f32, -200.0, 200.0, 1e4], &Device::flex());
            let found = activate(function, x).into_data().try_to_vec::<f32>().unwrap();
            assert_eq!(found, [0.0, 0.0, 200.0, 1e4], "{function:?}");
        }
    }

    #[test]
    fn activations_match_torch() {
        let inputs = [-3.0f32, -0.5, 0.0, 0.7, 4.0];
        // Computed with torch 2.15.0: gelu(approximate="tanh"), gelu, silu, relu.
        let wanted: [(Activation, [f32; 5]); 4] = [
            (Activation::GeluTanh, [-0.003_637_39, -0.154_286, 0.0, 0.530_570_3, 3.999_93]),
            (Activation::Gelu, [-0.004_049_69, -0.154_268_77, 0.0, 0.530_625_4, 3.999_873_4]),
            (Activation::Silu, [-0.142_277_61, -0.188_770_34, 0.0, 0.467_731_24, 3.928_055]),
            (Activation::Relu, [0.0, 0.0, 0.0, 0.7, 4.0]),
        ];
        for (function, wanted) in wanted {
            let x = Tensor::<1>::from_data(inputs, &Device::flex());
            let found = activate(function, x).into_data().try_to_vec::<f32>().unwrap();
            for (found, wanted) in found.iter().zip(wanted) {
                assert!((found - wanted).abs() < 2e-6, "{function:?}: {found} instead of {wanted}");
            }
        }
    }
}
