//! Number formats of packed weights.

/// Number format of packed weights and of the activations they are multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackedFormat {
    /// 32-bit floats.
    F32,
    /// bf16 weights and activations, accumulated in f32.
    Bf16,
    /// bf16 weights and f32 activations: the same results as [`F32`](Self::F32) if the weights are bf16, with half the
    /// memory.
    Bf16Weights,
    /// 8-bit weights and activations with a scale per 64 inputs, whose products are summed exactly. Before they are
    /// quantized, both are transformed by a [`hadamard`](crate::cpu::hadamard) matrix in each whole group.
    Q8,
    /// 4-bit weights with a scale and a minimum per 32 inputs, 8-bit activations with a scale per 32 inputs.
    Q4,
}

/// Group size of the 8-bit format: number of inputs of an output, or of a row of activations, that share a scale.
pub const Q8_GROUP: usize = 64;

/// Group size of the 4-bit format.
pub const Q4_GROUP: usize = 32;

impl PackedFormat {
    /// Bits per weight in this format. Scales and minima are bf16.
    pub fn bits(self) -> f64 {
        match self {
            Self::F32 => 32.0,
            Self::Bf16 | Self::Bf16Weights => 16.0,
            Self::Q8 => 8.0 + 16.0 / Q8_GROUP as f64,
            Self::Q4 => 4.0 + 32.0 / Q4_GROUP as f64,
        }
    }

    /// Whether activations are f32.
    pub fn has_f32_activations(self) -> bool {
        matches!(self, Self::F32 | Self::Bf16Weights)
    }

    /// Number of inputs that share scales, if the format has any.
    pub fn group(self) -> Option<usize> {
        match self {
            Self::F32 | Self::Bf16 | Self::Bf16Weights => None,
            Self::Q8 => Some(Q8_GROUP),
            Self::Q4 => Some(Q4_GROUP),
        }
    }
}
