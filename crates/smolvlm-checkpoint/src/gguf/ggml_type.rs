//! Number formats of GGUF tensors.

use safetensors::tensor::Dtype;
use smolvlm_kernels::PackedFormat;

/// A number format of GGUF tensors. Values are stored in blocks, which never cross the end of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgmlType {
    /// 32-bit floats.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// 4-bit codes with a scale per 32 values.
    Q4_0,
    /// 4-bit codes with a scale and a minimum per 32 values.
    Q4_1,
    /// 5-bit codes with a scale per 32 values.
    Q5_0,
    /// 5-bit codes with a scale and a minimum per 32 values.
    Q5_1,
    /// 8-bit codes with a scale per 32 values.
    Q8_0,
    /// 4-bit codes with a 6-bit scale and minimum per 32 values, in blocks of 256.
    Q4K,
    /// 5-bit codes with a 6-bit scale and minimum per 32 values, in blocks of 256.
    Q5K,
    /// 6-bit codes with an 8-bit scale per 16 values, in blocks of 256.
    Q6K,
}

/// A type with its number in tensors, name, values per block, bytes per block, and, if it can be written, the number of
/// a file of mostly this type (`llama_ftype`).
type Row = (GgmlType, u32, &'static str, usize, usize, Option<u32>);

/// All supported types.
const TYPES: [Row; 11] = [
    (GgmlType::F32, 0, "F32", 1, 4, Some(0)),
    (GgmlType::F16, 1, "F16", 1, 2, Some(1)),
    (GgmlType::Q4_0, 2, "Q4_0", 32, 18, Some(2)),
    (GgmlType::Q4_1, 3, "Q4_1", 32, 20, Some(3)),
    (GgmlType::Q5_0, 6, "Q5_0", 32, 22, None),
    (GgmlType::Q5_1, 7, "Q5_1", 32, 24, None),
    (GgmlType::Q8_0, 8, "Q8_0", 32, 34, Some(7)),
    (GgmlType::Q4K, 12, "Q4_K", 256, 144, None),
    (GgmlType::Q5K, 13, "Q5_K", 256, 176, None),
    (GgmlType::Q6K, 14, "Q6_K", 256, 210, None),
    (GgmlType::Bf16, 30, "BF16", 1, 2, Some(32)),
];

/// Names of types that exist and are not supported, by number.
const OTHERS: [(u32, &str); 24] = [
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

impl GgmlType {
    /// The type with this number in the file.
    ///
    /// # Errors
    ///
    /// The name of an unsupported type.
    pub(crate) fn from_number(number: u32) -> Result<Self, String> {
        match TYPES.into_iter().find(|entry| entry.1 == number) {
            Some((ggml_type, ..)) => Ok(ggml_type),
            None => Err(OTHERS
                .into_iter()
                .find(|(other, _)| *other == number)
                .map_or_else(|| format!("number {number}"), |(_, name)| name.to_owned())),
        }
    }

    /// The types in which files can be written.
    pub fn writable() -> impl Iterator<Item = Self> {
        TYPES.into_iter().filter(|entry| entry.5.is_some()).map(|entry| entry.0)
    }

    /// The number of a file of mostly this type; none if the type cannot be written.
    pub(super) fn file_type(self) -> Option<u32> {
        TYPES.into_iter().find(|entry| entry.0 == self).and_then(|entry| entry.5)
    }

    fn entry(self) -> (u32, &'static str, usize, usize) {
        let entry = TYPES.into_iter().find(|entry| entry.0 == self);
        entry.map_or((0, "", 1, 0), |(_, number, name, values, bytes, _)| (number, name, values, bytes))
    }

    /// The number in the file.
    pub(crate) fn number(self) -> u32 {
        self.entry().0
    }

    /// The name that llama.cpp uses.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// The same type of safetensors, if it is one of floats.
    pub(crate) fn plain(self) -> Option<Dtype> {
        match self {
            Self::F32 => Some(Dtype::F32),
            Self::F16 => Some(Dtype::F16),
            Self::Bf16 => Some(Dtype::BF16),
            _ => None,
        }
    }

    /// The quantized format of this project that is nearest; none for floats.
    pub(crate) fn nearest_format(self) -> Option<PackedFormat> {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => None,
            Self::Q4_0 | Self::Q4_1 | Self::Q4K => Some(PackedFormat::Q4),
            Self::Q5_0 | Self::Q5_1 | Self::Q8_0 | Self::Q5K | Self::Q6K => Some(PackedFormat::Q8),
        }
    }

    /// Values per block.
    pub(crate) fn block(self) -> usize {
        self.entry().2
    }

    /// Bytes of a row of `values` values, whole blocks.
    pub(crate) fn row_bytes(self, values: usize) -> usize {
        let (_, _, block, bytes) = self.entry();
        values / block * bytes
    }

    /// Names of all supported types, for messages.
    pub(crate) fn names() -> String {
        TYPES.map(|entry| entry.2).join(", ")
    }
}
