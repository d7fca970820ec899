//! Encodings of tensor values in checkpoint files.
//!
//! Quantized matrices, written by [`write_quantized_weights`](crate::write_quantized_weights), have a second
//! tensor with the suffix `_scale`:
//!
//! | `NAME` | `NAME_scale` | value |
//! |---|---|---|
//! | I8 `[out, in]` | F32 `[out]` | `code * scale` |
//! | U8 `[out, groups * 16]` | BF16 `[out, groups]` | `(code - 8) * scale`, one scale per group of 32 inputs |
//!
//! A byte of the U8 form holds the codes of two inputs, the earlier one in the low nibble; the last group is padded
//! with codes of 8.

use safetensors::tensor::Dtype;
use smolvlm_config::FloatType;
use smolvlm_kernels::GROUP;

use crate::values::{float_type, widen};
use crate::weights::Weights;

/// The encoding of a stored tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Float(FloatType),
    /// 8-bit codes.
    Q8,
    /// 4-bit codes.
    Q4,
}

/// Name of the tensor with the scales of a quantized matrix.
pub(crate) fn scale_name(name: &str) -> String {
    format!("{name}_scale")
}

impl Encoding {
    /// The encoding of a stored tensor whose decoded values have `shape`; none if its shape or type does not match.
    pub(crate) fn of(weights: &Weights, name: &str, shape: &[usize]) -> Option<Self> {
        let tensor = weights.tensor(name)?;
        if let Some(float) = float_type(tensor.dtype) {
            return (tensor.shape == shape).then_some(Self::Float(float));
        }
        let &[outputs, inputs] = shape else { return None };
        let groups = inputs.div_ceil(GROUP);
        let scale = weights.tensor(&scale_name(name))?;
        let fits = |codes: [usize; 2], scales: &[usize]| tensor.shape == codes && scale.shape == scales;
        match (tensor.dtype, scale.dtype) {
            (Dtype::I8, Dtype::F32) if fits([outputs, inputs], &[outputs]) => Some(Self::Q8),
            (Dtype::U8, Dtype::BF16) if fits([outputs, groups * GROUP / 2], &[outputs, groups]) => Some(Self::Q4),
            _ => None,
        }
    }

    /// Decodes row `row` of a matrix of `out.len()` columns from its codes (or floats) and scales.
    pub(crate) fn read_row(self, codes: &[u8], scales: &[u8], row: usize, out: &mut [f32]) {
        let inputs = out.len();
        match self {
            Self::Float(float) => {
                let width = inputs * float.bytes();
                widen(&codes[row * width..][..width], float, out);
            }
            Self::Q8 => {
                let mut scale = [0.0];
                widen(&scales[row * 4..][..4], FloatType::F32, &mut scale);
                for (value, code) in out.iter_mut().zip(&codes[row * inputs..]) {
                    *value = f32::from(*code as i8) * scale[0];
                }
            }
            Self::Q4 => {
                let groups = inputs.div_ceil(GROUP);
                let codes = &codes[row * groups * GROUP / 2..];
                for (group, values) in out.chunks_mut(GROUP).enumerate() {
                    let mut scale = [0.0];
                    widen(&scales[(row * groups + group) * 2..][..2], FloatType::Bf16, &mut scale);
                    for (index, value) in values.iter_mut().enumerate() {
                        let byte = codes[(group * GROUP + index) / 2];
                        let code = if index % 2 == 0 { byte & 0x0f } else { byte >> 4 };
                        *value = (f32::from(code) - 8.0) * scale[0];
                    }
                }
            }
        }
    }
}
