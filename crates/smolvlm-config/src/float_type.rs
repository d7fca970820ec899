//! Floating-point types of checkpoints.

use crate::Error;

/// A floating-point type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FloatType {
    /// 32-bit IEEE 754, `"float32"`.
    F32,
    /// 16 bits with the exponent range of `f32`, `"bfloat16"`.
    Bf16,
    /// 16-bit IEEE 754, `"float16"`.
    F16,
}

impl FloatType {
    /// Parses a type name of a configuration file, with or without a leading `torch.`; `key` is its key path for the
    /// error.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for any other name.
    /// [`Error::Unsupported`] for any other name.
    pub fn from_name(name: &str, key: &str) -> Result<Self, Error> {
        match name.strip_prefix("torch.").unwrap_or(name) {
            "float32" | "float" => Ok(FloatType::F32),
            "bfloat16" => Ok(FloatType::Bf16),
            "float16" | "half" => Ok(FloatType::F16),
            _ => Err(Error::unsupported(key, name, "float32, bfloat16, float16")),
        }
    }

    /// The name used in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            FloatType::F32 => "float32",
            FloatType::Bf16 => "bfloat16",
            FloatType::F16 => "float16",
        }
    }

    /// Size of one value in bytes.
    pub fn bytes(self) -> usize {
        match self {
            FloatType::F32 => 4,
            FloatType::Bf16 | FloatType::F16 => 2,
        }
    }
}
