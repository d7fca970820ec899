//! Encodings of tensor values in checkpoint files.
//!
//! Quantized matrices, written by [`write_quantized_weights`](crate::write_quantized_weights), have a second
//! tensor with the suffix `_scale`, with a scale per group of 64 inputs, or a scale and a minimum per 32:
//!
//! | `NAME` | `NAME_scale` | value |
//! |---|---|---|
//! | I8 `[out, groups * 64]` | BF16 `[out, groups]` | `code * scale`, times a Hadamard matrix |
//! | U8 `[out, groups * 16]` | BF16 `[out, groups, 2]` | `code * scale + minimum` |
//!
//! The last group is padded. Whole groups of the I8 form are those of the matrix multiplied by the normalized
//! [`hadamard`] matrix, which is its own inverse. A byte of the U8 form holds the codes of two inputs, the earlier one
//! in the low nibble.

use safetensors::tensor::Dtype;
use smolvlm_config::FloatType;
use smolvlm_kernels::cpu::hadamard;
use smolvlm_kernels::{Q4_GROUP, Q8_GROUP};

use crate::gguf::{GgmlType, RowOrder, decode_row};
use crate::header::StoredType;
use crate::values::widen;
use crate::weights::Weights;

/// The encoding of a stored tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Float(FloatType),
    /// 8-bit codes.
    Q8,
    /// 4-bit codes.
    Q4,
    /// Blocks of a GGUF file.
    Ggml(GgmlType, RowOrder),
}

/// Name of the tensor with the scales of a quantized matrix.
pub(crate) fn scale_name(name: &str) -> String {
    format!("{name}_scale")
}

impl Encoding {
    /// The encoding of a stored tensor whose decoded values have `shape`; none if its shape or type does not match.
    pub(crate) fn of(weights: &Weights, name: &str, shape: &[usize]) -> Option<Self> {
        let tensor = weights.tensor(name)?;
        if let Some(float) = tensor.float_type() {
            return (tensor.shape == shape).then_some(Self::Float(float));
        }
        if let StoredType::Ggml(ggml_type, order) = tensor.dtype {
            // Blocks are parts of rows, of which other shapes have none or several. A vector of floats has rows of one
            // value.
            let has_rows = shape.len() == 2 || shape.len() == 1 && ggml_type.plain().is_some();
            return (has_rows && tensor.shape == shape).then_some(Self::Ggml(ggml_type, order));
        }
        let &[outputs, inputs] = shape else { return None };
        let scale = weights.tensor(&scale_name(name)).filter(|scale| scale.dtype == StoredType::Plain(Dtype::BF16))?;
        let fits = |codes: [usize; 2], scales: &[usize]| tensor.shape == codes && scale.shape == scales;
        let (q8_groups, q4_groups) = (inputs.div_ceil(Q8_GROUP), inputs.div_ceil(Q4_GROUP));
        match tensor.dtype.plain()? {
            Dtype::I8 if fits([outputs, q8_groups * Q8_GROUP], &[outputs, q8_groups]) => Some(Self::Q8),
            Dtype::U8 if fits([outputs, q4_groups * Q4_GROUP / 2], &[outputs, q4_groups, 2]) => Some(Self::Q4),
            _ => None,
        }
    }

    /// Whether a stored tensor is in a form that earlier versions wrote: 8 bits with one scale per output, or 4 bits
    /// without minima.
    pub(crate) fn is_outdated(weights: &Weights, name: &str) -> bool {
        let (Some(tensor), Some(scale)) = (weights.tensor(name), weights.tensor(&scale_name(name))) else {
            return false;
        };
        match (tensor.dtype.plain(), scale.dtype.plain()) {
            (Some(Dtype::I8), Some(Dtype::F32)) => scale.shape.len() == 1,
            (Some(Dtype::U8), Some(Dtype::BF16)) => scale.shape.len() == 2,
            _ => false,
        }
    }

    /// Decodes row `row` of a matrix of `out.len()` columns from its codes (or floats) and scales.
    pub(crate) fn read_row(self, codes: &[u8], scales: &[u8], row: usize, out: &mut [f32]) {
        let inputs = out.len();
        match self {
            Self::Ggml(ggml_type, order) => {
                let width = ggml_type.row_bytes(inputs);
                decode_row(ggml_type, &codes[order.stored(row) * width..][..width], out);
            }
            Self::Float(float) => {
                let width = inputs * float.bytes();
                widen(&codes[row * width..][..width], float, out);
            }
            Self::Q8 => {
                let groups = inputs.div_ceil(Q8_GROUP);
                let codes = codes[row * groups * Q8_GROUP..].as_chunks::<Q8_GROUP>().0;
                for ((out, codes), scale) in out.chunks_mut(Q8_GROUP).zip(codes).zip(scales_of(scales, row, groups)) {
                    for (value, code) in out.iter_mut().zip(codes) {
                        *value = f32::from(*code as i8) * scale;
                    }
                    hadamard(out);
                }
            }
            Self::Q4 => {
                let groups = inputs.div_ceil(Q4_GROUP);
                let codes = &codes[row * groups * Q4_GROUP / 2..];
                let scales = scales_of(scales, row, 2 * groups);
                for (group, values) in out.chunks_mut(Q4_GROUP).enumerate() {
                    let (scale, minimum) = (scales[2 * group], scales[2 * group + 1]);
                    for (index, value) in values.iter_mut().enumerate() {
                        let byte = codes[(group * Q4_GROUP + index) / 2];
                        let code = if index % 2 == 0 { byte & 0x0f } else { byte >> 4 };
                        *value = f32::from(code) * scale + minimum;
                    }
                }
            }
        }
    }
}

/// The scales of a row, `count` of them.
fn scales_of(scales: &[u8], row: usize, count: usize) -> Vec<f32> {
    let mut out = vec![0.0; count];
    widen(&scales[2 * row * count..][..2 * count], FloatType::Bf16, &mut out);
    out
}
