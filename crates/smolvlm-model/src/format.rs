//! Weight formats of a loaded model.

use burn::tensor::DType;
use smolvlm_config::FloatType;
use smolvlm_kernels::PackedFormat;
use std::fmt;

/// The format of a loaded model's weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// Burn tensors, on any backend; trainable.
    Tensors(FloatType),
    /// Packed for the CPU kernels. Activations between layers are f32. With 4-bit text weights, vision weights have 8
    /// bits; the patch embedding has 16 bits in all quantized formats.
    Packed(PackedFormat),
}

/// The Burn data type of a float type.
pub fn dtype(float: FloatType) -> DType {
    match float {
        FloatType::F32 => DType::F32,
        FloatType::Bf16 => DType::BF16,
        FloatType::F16 => DType::F16,
    }
}

/// Writes the name that `--dtype` takes: that of the arithmetic.
impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tensors(FloatType::F32) | Self::Packed(PackedFormat::F32 | PackedFormat::Bf16Weights) => "f32",
            Self::Tensors(FloatType::Bf16) | Self::Packed(PackedFormat::Bf16) => "bf16",
            Self::Tensors(FloatType::F16) => "f16",
            Self::Packed(PackedFormat::Q8) => "q8",
            Self::Packed(PackedFormat::Q4) => "q4",
        })
    }
}

impl From<FloatType> for WeightFormat {
    fn from(float: FloatType) -> Self {
        Self::Tensors(float)
    }
}
