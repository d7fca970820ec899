//! Activation functions.

use burn::tensor::{Tensor, activation};

/// An activation function, applied to every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))`: the tanh approximation of GELU.
    GeluTanh,
    /// `0.5 z (1 + erf(z / sqrt(2)))`: exact GELU.
    Gelu,
    /// `z * sigmoid(z)`.
    Silu,
    /// `max(z, 0)`.
    Relu,
}

impl Activation {
    /// Applies the function to every value; any shape.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::GeluTanh => activation::gelu_approximate(x),
            Self::Gelu => activation::gelu(x),
            Self::Silu => activation::silu(x),
            Self::Relu => activation::relu(x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Activation;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn values_of_the_formulas() {
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
