//! Activation functions.

use crate::exp::exp;
use burn::tensor::{DType, Tensor, activation};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// An activation function, applied to every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Tanh approximation of GELU, `0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))`.
    GeluTanh,
    /// Exact GELU, `0.5 z (1 + erf(z / sqrt(2)))`.
    Gelu,
    /// SiLU, `z * sigmoid(z)`.
    Silu,
    /// ReLU, `max(z, 0)`.
    Relu,
}

impl Activation {
    /// Applies the function to every value of a tensor of any shape. Half-precision results are rounded once, at the
    /// end.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "autodiff")]
        if let Some(y) = crate::grad::activate(self, &x) {
            return y;
        }
        #[cfg(feature = "cubecl")]
        if let Some(y) = crate::gpu::activate(self, &x, None) {
            return y;
        }
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let y = match self {
            Self::GeluTanh => map(x, gelu_tanh_of, gelu_tanh),
            Self::Gelu => activation::gelu(x),
            Self::Silu => map(x, silu_of, |x| activation::sigmoid(x.clone()) * x),
            Self::Relu => activation::relu(x),
        };
        y.cast(dtype)
    }

    /// Gated activation: `function(gate) * x`, elementwise on tensors of any shape.
    pub fn gate<const D: usize>(self, gate: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "autodiff")]
        if let Some(y) = crate::grad::gate(self, &gate, &x) {
            return y;
        }
        #[cfg(feature = "cubecl")]
        if let Some(y) = crate::gpu::activate(self, &gate, Some(&x)) {
            return y;
        }
        self.forward(gate) * x
    }
}

const TWICE_SQRT_2_OVER_PI: f64 = 2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const CUBIC: f64 = 0.044715;

/// GELU's tanh approximation as `z sigmoid(2u)`, which equals `0.5 z (1 + tanh(u))` but avoids the cancellation where
/// `tanh(u)` is close to -1.
fn gelu_tanh<const D: usize>(z: Tensor<D>) -> Tensor<D> {
    let slope = z.clone() * z.clone() * (TWICE_SQRT_2_OVER_PI * CUBIC) + TWICE_SQRT_2_OVER_PI;
    activation::sigmoid(slope * z.clone()) * z
}

#[cfg(feature = "flex")]
use crate::elementwise::map;

/// Calls the backend's own kernel; the vectorized loops are for the CPU backend.
#[cfg(not(feature = "flex"))]
fn map<const D: usize>(
    x: Tensor<D>,
    _: impl Fn(f32) -> f32,
    otherwise: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    otherwise(x)
}

/// [`gelu_tanh`] of one value.
#[inline(always)]
fn gelu_tanh_of(z: f32) -> f32 {
    let slope = z * z * (TWICE_SQRT_2_OVER_PI * CUBIC) as f32 + TWICE_SQRT_2_OVER_PI as f32;
    z / (1.0 + exp(-slope * z))
}

/// `z sigmoid(z)` of one value.
#[inline(always)]
fn silu_of(z: f32) -> f32 {
    z / (1.0 + exp(-z))
}

/// `0.5 z (1 + erf(z / sqrt(2)))` of one value, with an error function whose error is at most 1.5e-7 (Abramowitz and
/// Stegun, 7.1.26).
#[cfg(feature = "flex")]
#[inline(always)]
fn gelu_of(z: f32) -> f32 {
    z * normal_cdf(z)
}

/// Cumulative distribution function of the standard normal distribution.
#[cfg(feature = "flex")]
#[inline(always)]
fn normal_cdf(z: f32) -> f32 {
    let x = z.abs() * FRAC_1_SQRT_2 as f32;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    let erf = 1.0 - p * exp(-x * x);
    0.5 * (1.0 + if z < 0.0 { -erf } else { erf })
}

/// The value of the activation function and its derivative.
#[cfg(feature = "autodiff")]
#[inline(always)]
pub(crate) fn value_and_derivative(function: Activation, z: f32) -> (f32, f32) {
    const SCALE: f32 = TWICE_SQRT_2_OVER_PI as f32;
    match function {
        Activation::GeluTanh => {
            let cubic = z * z * (TWICE_SQRT_2_OVER_PI * CUBIC) as f32;
            let sigmoid = 1.0 / (1.0 + exp(-(cubic + SCALE) * z));
            (z * sigmoid, sigmoid + z * sigmoid * (1.0 - sigmoid) * (3.0 * cubic + SCALE))
        }
        Activation::Gelu => {
            let below = normal_cdf(z);
            // The density of the standard normal distribution.
            let density = exp(-0.5 * z * z) * (0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI) as f32;
            (z * below, below + z * density)
        }
        Activation::Silu => {
            let sigmoid = 1.0 / (1.0 + exp(-z));
            (z * sigmoid, sigmoid + z * sigmoid * (1.0 - sigmoid))
        }
        Activation::Relu => (z.max(0.0), if z > 0.0 { 1.0 } else { 0.0 }),
    }
}

#[cfg(feature = "flex")]
mod slices {
    use super::{Activation, gelu_of, gelu_tanh_of, silu_of};
    use crate::cpu::isa::vectorized;
    #[cfg(target_arch = "x86_64")]
    use crate::cpu::isa::{Isa, Level};
    #[cfg(target_arch = "x86_64")]
    use crate::cpu::micro::avx512_math;

    impl Activation {
        /// Applies the function to every value.
        #[allow(unsafe_code)]
        pub(crate) fn apply(self, values: &mut [f32]) {
            #[cfg(target_arch = "x86_64")]
            if Isa::current().level == Level::Avx512 {
                match self {
                    // SAFETY: the processor has these instructions.
                    Self::GeluTanh => return unsafe { avx512_math::gelu_tanh(values) },
                    // SAFETY: likewise.
                    Self::Silu => return unsafe { avx512_math::silu(values) },
                    Self::Gelu | Self::Relu => {}
                }
            }
            match self {
                Self::GeluTanh => gelu_tanh(values),
                Self::Gelu => gelu(values),
                Self::Silu => silu(values),
                Self::Relu => values.iter_mut().for_each(|value| *value = value.max(0.0)),
            }
        }
    }

    vectorized! {
        fn gelu_tanh(values: &mut [f32]) {
            values.iter_mut().for_each(|value| *value = gelu_tanh_of(*value));
        }
    }

    vectorized! {
        fn gelu(values: &mut [f32]) {
            values.iter_mut().for_each(|value| *value = gelu_of(*value));
        }
    }

    vectorized! {
        fn silu(values: &mut [f32]) {
            values.iter_mut().for_each(|value| *value = silu_of(*value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Activation;
    use burn::tensor::{DType, Device, Distribution, Tensor};

    #[test]
    fn half_precision_is_rounded_once() {
        for dtype in [DType::BF16, DType::F16] {
            let x = Tensor::<1>::random([4096], Distribution::Normal(0.0, 3.0), &Device::flex()).cast(dtype);
            for function in [Activation::GeluTanh, Activation::Gelu, Activation::Silu, Activation::Relu] {
                let found = function.forward(x.clone());
                assert_eq!(found.dtype(), dtype);
                let wanted = function.forward(x.clone().cast(DType::F32)).cast(dtype);
                assert!(found.equal(wanted).all().into_scalar::<bool>(), "{function:?} in {dtype:?}");
            }
        }
    }

    #[test]
    fn large_values_stay_finite() {
        for function in [Activation::GeluTanh, Activation::Gelu, Activation::Silu, Activation::Relu] {
            let x = Tensor::<1>::from_data([-1e4f32, -200.0, 200.0, 1e4], &Device::flex());
            let found = function.forward(x).into_data().try_to_vec::<f32>().unwrap();
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
            let found = function.forward(x).into_data().try_to_vec::<f32>().unwrap();
            for (found, wanted) in found.iter().zip(wanted) {
                assert!((found - wanted).abs() < 2e-6, "{function:?}: {found} instead of {wanted}");
            }
        }
    }
}
