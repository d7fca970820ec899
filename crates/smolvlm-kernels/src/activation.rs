//! Activation functions.

use crate::cpu::isa::vectorized;
use crate::cpu::micro::kernels;
use crate::exp::exp;
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
    /// The factor `2 sqrt(2/pi)` of [`GeluTanh`](Self::GeluTanh) in the form `z sigmoid(GELU_SCALE (z + GELU_CUBIC
    /// z^3))`.
    pub const GELU_SCALE: f64 = 2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
    /// The coefficient of `z^3` in the same form.
    pub const GELU_CUBIC: f64 = 0.044715;

    /// Applies the function to every value.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Self::GeluTanh => (kernels().gelu_tanh)(values),
            Self::Gelu => gelu(values),
            Self::Silu => (kernels().silu)(values),
            Self::Relu => values.iter_mut().for_each(|value| *value = value.max(0.0)),
        }
    }

    /// Gated activation: replaces each value of `gate` by `function(gate) * x`.
    pub fn gate(self, gate: &mut [f32], x: &[f32]) {
        self.apply(gate);
        multiply(gate, x);
    }
}

vectorized! {
    fn multiply(values: &mut [f32], factors: &[f32]) {
        for (value, factor) in values.iter_mut().zip(factors) {
            *value *= factor;
        }
    }
}

vectorized! {
    pub(crate) fn gelu_tanh(values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value = gelu_tanh_of(*value));
    }
}

vectorized! {
    fn gelu(values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value = gelu_of(*value));
    }
}

vectorized! {
    pub(crate) fn silu(values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value = silu_of(*value));
    }
}

/// GELU's tanh approximation as `z sigmoid(2u)`, which equals `0.5 z (1 + tanh(u))` but avoids the cancellation where
/// `tanh(u)` is close to -1.
#[inline(always)]
fn gelu_tanh_of(z: f32) -> f32 {
    let slope = z * z * (Activation::GELU_SCALE * Activation::GELU_CUBIC) as f32 + Activation::GELU_SCALE as f32;
    z / (1.0 + exp(-slope * z))
}

/// `z sigmoid(z)` of one value.
#[inline(always)]
fn silu_of(z: f32) -> f32 {
    z / (1.0 + exp(-z))
}

/// `0.5 z (1 + erf(z / sqrt(2)))` of one value, with an error function whose error is at most 1.5e-7 (Abramowitz and
/// Stegun, 7.1.26).
#[inline(always)]
fn gelu_of(z: f32) -> f32 {
    z * normal_cdf(z)
}

/// Cumulative distribution function of the standard normal distribution.
#[inline(always)]
fn normal_cdf(z: f32) -> f32 {
    let x = z.abs() * FRAC_1_SQRT_2 as f32;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    let erf = 1.0 - p * exp(-x * x);
    0.5 * (1.0 + if z < 0.0 { -erf } else { erf })
}

/// The value of the activation function and its derivative.
#[cfg(feature = "backward")]
#[inline(always)]
pub(crate) fn value_and_derivative(function: Activation, z: f32) -> (f32, f32) {
    const SCALE: f32 = Activation::GELU_SCALE as f32;
    match function {
        Activation::GeluTanh => {
            let cubic = z * z * (Activation::GELU_SCALE * Activation::GELU_CUBIC) as f32;
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
