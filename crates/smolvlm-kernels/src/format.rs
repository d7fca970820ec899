//! Formats of packed weights.

/// How weights are stored, and how activations meet them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// bfloat16 weights and activations, summed in f32.
    Bf16,
    /// 8-bit weights with one scale an output, 8-bit activations with one scale a row, summed exactly.
    Q8,
    /// 4-bit weights with one bf16 scale for 32 inputs of an output, 8-bit activations with one scale a row.
    Q4,
}

/// Inputs that share a scale in the 4-bit format.
pub const GROUP: usize = 32;

impl Format {
    /// Memory of a matrix in this format, in bits a weight, without the scales of whole rows.
    pub fn bits(self) -> f64 {
        match self {
            Self::F32 => 32.0,
            Self::Bf16 => 16.0,
            Self::Q8 => 8.0,
            Self::Q4 => 4.5,
        }
    }
}
