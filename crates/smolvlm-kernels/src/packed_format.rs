//! Number formats of packed weights.

/// Number format of packed weights and of the activations they are multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackedFormat {
    /// 32-bit floats.
    F32,
    /// bf16 weights and activations, accumulated in f32.
    Bf16,
    /// 8-bit weights with one scale per output, 8-bit activations with one scale per row, accumulated exactly.
    Q8,
    /// 4-bit weights with one bf16 scale per 32 inputs of an output, 8-bit activations with one scale per row.
    Q4,
}

/// Group size of the 4-bit format: number of inputs that share a scale.
pub const GROUP: usize = 32;

impl PackedFormat {
    /// Bits per weight in this format, without the scales of whole rows.
    pub fn bits(self) -> f64 {
        match self {
            Self::F32 => 32.0,
            Self::Bf16 => 16.0,
            Self::Q8 => 8.0,
            Self::Q4 => 4.5,
        }
    }
}
