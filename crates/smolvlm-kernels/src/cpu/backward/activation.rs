//! Activation functions.

use crate::activation::{Activation, value_and_derivative};
use crate::cpu::isa::vectorized;

vectorized! {
    /// Gradients of the inputs of an activation function: `dx = function'(x) dy`.
    pub fn activation_backward(function: Activation, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        // One loop per function, so that each is vectorized.
        macro_rules! each {
            ($kind:expr) => {
                for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                    *dx = value_and_derivative($kind, *x).1 * dy;
                }
            };
        }
        match function {
            Activation::GeluTanh => each!(Activation::GeluTanh),
            Activation::Gelu => each!(Activation::Gelu),
            Activation::Silu => each!(Activation::Silu),
            Activation::Relu => each!(Activation::Relu),
        }
    }
}

vectorized! {
    /// Gradients of `y = function(gate) x`, given `dy`.
    pub fn gate_backward(function: Activation, gate: &[f32], x: &[f32], dy: &[f32], d_gate: &mut [f32], dx: &mut [f32]) {
        macro_rules! each {
            ($kind:expr) => {
                for ((((d_gate, dx), gate), x), dy) in d_gate.iter_mut().zip(dx).zip(gate).zip(x).zip(dy) {
                    let (value, derivative) = value_and_derivative($kind, *gate);
                    *d_gate = dy * x * derivative;
                    *dx = dy * value;
                }
            };
        }
        match function {
            Activation::GeluTanh => each!(Activation::GeluTanh),
            Activation::Gelu => each!(Activation::Gelu),
            Activation::Silu => each!(Activation::Silu),
            Activation::Relu => each!(Activation::Relu),
        }
    }
}
