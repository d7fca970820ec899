//! Activation functions of model configurations.

use crate::Error;

/// An activation function of a feed-forward block.
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
    const SUPPORTED: &'static str =
        "gelu_pytorch_tanh, gelu_new, gelu_fast, gelu_accurate, gelu_python_tanh, gelu, gelu_python, silu, swish, relu";

    /// Parses an activation name of a configuration file; `key` is its key path for the error.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for any other name.
    pub fn from_name(name: &str, key: &str) -> Result<Self, Error> {
        match name {
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_python_tanh" => {
                Ok(Activation::GeluTanh)
            }
            "gelu" | "gelu_python" => Ok(Activation::Gelu),
            "silu" | "swish" => Ok(Activation::Silu),
            "relu" => Ok(Activation::Relu),
            other => Err(Error::unsupported(key, other, Self::SUPPORTED)),
        }
    }

    /// The name used in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Activation::GeluTanh => "gelu_pytorch_tanh",
            Activation::Gelu => "gelu",
            Activation::Silu => "silu",
            Activation::Relu => "relu",
        }
    }
}
