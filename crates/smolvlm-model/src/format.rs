//! How the weights of a loaded model are kept.

use smolvlm_config::FloatType;
use smolvlm_kernels::Format;
use std::fmt;

/// How the weights of a loaded model are kept, and what it computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// As tensors of the device, for any backend; they can be trained.
    Tensors(FloatType),
    /// Packed for the kernels of the CPU. Activations are f32 outside of the layers. Vision weights have 8 bits where those of
    /// the text model have 4; the patch embedding has 16 in both cases.
    Packed(Format),
}

/// As `--dtype` names them.
impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tensors(FloatType::F32) | Self::Packed(Format::F32) => "f32",
            Self::Tensors(FloatType::Bf16) | Self::Packed(Format::Bf16) => "bf16",
            Self::Tensors(FloatType::F16) => "f16",
            Self::Packed(Format::Q8) => "q8",
            Self::Packed(Format::Q4) => "q4",
        })
    }
}

/// The format of vision encoder and connector where the text model has this one: 4 bits are for text alone.
pub fn vision_format(text: Format) -> Format {
    if text == Format::Q4 { Format::Q8 } else { text }
}

impl From<FloatType> for WeightFormat {
    fn from(float: FloatType) -> Self {
        Self::Tensors(float)
    }
}

impl WeightFormat {
    /// Type of the activations between the layers, and of norms and biases.
    pub(crate) fn activations(self) -> FloatType {
        match self {
            Self::Tensors(float) => float,
            Self::Packed(_) => FloatType::F32,
        }
    }

    /// Type of the table of token embeddings.
    pub(crate) fn embeddings(self) -> FloatType {
        match self {
            Self::Tensors(float) => float,
            Self::Packed(Format::F32) => FloatType::F32,
            Self::Packed(_) => FloatType::Bf16,
        }
    }
}
