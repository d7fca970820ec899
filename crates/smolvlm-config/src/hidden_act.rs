//! The setting `hidden_act`.

use crate::Error;

/// The setting `hidden_act`: which activation function a feed-forward block applies. The functions themselves are in
/// smolvlm-kernels, which knows no configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HiddenAct {
    /// `0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))`: the tanh approximation of GELU.
    GeluTanh,
    /// `0.5 z (1 + erf(z / sqrt(2)))`: exact GELU.
    Gelu,
    /// `z * sigmoid(z)`.
    Silu,
    /// `max(z, 0)`.
    Relu,
}

impl HiddenAct {
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
                Ok(HiddenAct::GeluTanh)
            }
            "gelu" | "gelu_python" => Ok(HiddenAct::Gelu),
            "silu" | "swish" => Ok(HiddenAct::Silu),
            "relu" => Ok(HiddenAct::Relu),
            other => Err(Error::unsupported(key, other, Self::SUPPORTED)),
        }
    }

    /// The name used in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            HiddenAct::GeluTanh => "gelu_pytorch_tanh",
            HiddenAct::Gelu => "gelu",
            HiddenAct::Silu => "silu",
            HiddenAct::Relu => "relu",
        }
    }
}
