//! Values of tensors in the three float types, and their conversion, in parallel, in one pass and with one allocation.

use std::borrow::Cow;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::tensor::Dtype;
use smolvlm_config::FloatType;

/// Values per parallel task: 64 kB of `f32`, so that a task's intermediate values fit the CPU cache.
pub(crate) const CHUNK: usize = 1 << 14;

/// The values of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// f32.
    F32(Vec<f32>),
    /// bfloat16.
    Bf16(Vec<bf16>),
    /// IEEE half precision.
    F16(Vec<f16>),
}

impl Values {
    /// Converts little-endian values of type `from` to values of type `to`.
    ///
    /// Goes through `f32`, which holds every value of the three types; narrowing rounds to nearest, ties to even.
    pub(crate) fn decode(bytes: &[u8], from: FloatType, to: FloatType) -> Self {
        Self::from_fn(bytes.len() / from.bytes(), to, |start, values| {
            widen(&bytes[start * from.bytes()..], from, values);
        })
    }

    /// Generates values of type `to` with a function that fills a chunk with `f32` values, given the chunk's start.
    ///
    /// Chunks start at multiples of [`CHUNK`] and are at most that long; they are filled in parallel and in any order.
    pub(crate) fn from_fn(elements: usize, to: FloatType, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        match to {
            FloatType::F32 => {
                let mut values = vec![0_f32; elements];
                values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| fill(chunk * CHUNK, values));
                Self::F32(values)
            }
            FloatType::Bf16 => Self::Bf16(half_from_fn(elements, fill, narrow_to_bf16)),
            FloatType::F16 => {
                Self::F16(half_from_fn(elements, fill, |wide, values| values.convert_from_f32_slice(wide)))
            }
        }
    }

    /// Copies row `row` of a matrix with as many columns as `out` has values, converted to f32.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        let range = row * out.len()..(row + 1) * out.len();
        match self {
            Self::F32(values) => out.copy_from_slice(&values[range]),
            Self::Bf16(values) => values[range].convert_to_f32_slice(out),
            Self::F16(values) => values[range].convert_to_f32_slice(out),
        }
    }

    /// The type of the values.
    pub fn float_type(&self) -> FloatType {
        match self {
            Self::F32(_) => FloatType::F32,
            Self::Bf16(_) => FloatType::Bf16,
            Self::F16(_) => FloatType::F16,
        }
    }

    /// The little-endian bytes of the values.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            return Cow::Borrowed(match self {
                Self::F32(values) => bytemuck::cast_slice(values),
                Self::Bf16(values) => bytemuck::cast_slice(values),
                Self::F16(values) => bytemuck::cast_slice(values),
            });
        }
        Cow::Owned(match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Bf16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        })
    }
}

/// The float type of a safetensors type; none for other types.
pub(crate) fn float_type(dtype: Dtype) -> Option<FloatType> {
    match dtype {
        Dtype::F32 => Some(FloatType::F32),
        Dtype::BF16 => Some(FloatType::Bf16),
        Dtype::F16 => Some(FloatType::F16),
        _ => None,
    }
}

/// The safetensors type of a float type.
pub(crate) fn stored_type(float: FloatType) -> Dtype {
    match float {
        FloatType::F32 => Dtype::F32,
        FloatType::Bf16 => Dtype::BF16,
        FloatType::F16 => Dtype::F16,
    }
}

/// [`Values::from_fn`] in 16 bits, rounded by `narrow`.
fn half_from_fn<T: Copy + Default + Send>(
    elements: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
    narrow: impl Fn(&[f32], &mut [T]) + Sync,
) -> Vec<T> {
    let mut values = vec![T::default(); elements];
    values.par_chunks_mut(CHUNK).enumerate().for_each_init(
        || vec![0_f32; CHUNK.min(elements)],
        |wide, (chunk, values)| {
            let wide = &mut wide[..values.len()];
            fill(chunk * CHUNK, wide);
            narrow(wide, values);
        },
    );
    values
}

/// Fills `values` with the first values of `bytes`.
pub(crate) fn widen(bytes: &[u8], from: FloatType, values: &mut [f32]) {
    match from {
        FloatType::F32 => {
            for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        FloatType::Bf16 => {
            // A bf16 is the upper half of an f32.
            for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
            }
        }
        FloatType::F16 => {
            let mut bits = [0_u16; 256];
            for (values, bytes) in values.chunks_mut(256).zip(bytes.chunks(512)) {
                let bits = &mut bits[..values.len()];
                copy_u16(bytes, bits);
                bits.reinterpret_cast::<f16>().convert_to_f32_slice(values);
            }
        }
    }
}

/// Rounds to nearest, ties to even.
fn narrow_to_bf16(values: &[f32], narrow: &mut [bf16]) {
    for (narrow, value) in narrow.iter_mut().zip(values) {
        let wide = value.to_bits();
        // Adds half a unit in the last kept place, less one if that bit is even: a carry out of the lower half rounds
        // up.
        let rounded = wide.wrapping_add(0x7fff + ((wide >> 16) & 1)) >> 16;
        // A NaN must not be rounded to infinity: keep its upper half and set the quiet bit.
        let nan = (wide >> 16) | 0x40;
        *narrow = bf16::from_bits(if value.is_nan() { nan } else { rounded } as u16);
    }
}

fn copy_u16(bytes: &[u8], bits: &mut [u16]) {
    for (bits, bytes) in bits.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *bits = u16::from_le_bytes(*bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [FloatType; 3] = [FloatType::F32, FloatType::Bf16, FloatType::F16];

    /// All kinds of numbers: zeros, subnormals of each type, ties, overflows, infinities, NaN.
    fn values() -> Vec<f32> {
        let mut values = vec![0.0, -0.0, 1.0, -1.5, 1e-40, 6e-8, 65504.0, 65519.9, 65520.0, 3.4e38, f32::MAX];
        values.extend([f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN_POSITIVE]);
        let mut state = 1_u32;
        while values.len() < 3 * CHUNK + 17 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            values.push(f32::from_bits(state));
            // Exact ties for bf16, in both directions.
            values.push(f32::from_bits((state & 0xffff_0000) | 0x8000));
        }
        values
    }

    fn stored(values: &[f32], float: FloatType) -> Vec<u8> {
        match float {
            FloatType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            FloatType::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            FloatType::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        }
    }

    #[test]
    fn conversion_equals_scalar_conversion() {
        let values = values();
        for from in ALL {
            let bytes = stored(&values, from);
            let wide: Vec<f32> = match from {
                FloatType::F32 => values.clone(),
                FloatType::Bf16 => values.iter().map(|v| bf16::from_f32(*v).to_f32()).collect(),
                FloatType::F16 => values.iter().map(|v| f16::from_f32(*v).to_f32()).collect(),
            };
            for to in ALL {
                let data = Values::decode(&bytes, from, to);
                assert_eq!(data.float_type(), to);
                let got = data.bytes();
                let want = stored(&wide, to);
                for (index, value) in wide.iter().enumerate() {
                    let range = index * to.bytes()..(index + 1) * to.bytes();
                    if value.is_nan() {
                        // The result must be a NaN; its payload is unspecified.
                        let mut back = [0.0];
                        widen(&got[range], to, &mut back);
                        assert!(back[0].is_nan(), "{from:?} to {to:?}: {:x}", value.to_bits());
                    } else {
                        assert_eq!(got[range.clone()], want[range], "{from:?} to {to:?}: {value:e}");
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_round_trip() {
        let values = [1.0_f32, -2.5, 0.1];
        for float in ALL {
            let bytes = stored(&values, float);
            assert_eq!(*Values::decode(&bytes, float, float).bytes(), *bytes);
        }
    }

    #[test]
    fn empty_tensors_are_decoded() {
        for to in ALL {
            assert_eq!(Values::decode(&[], FloatType::Bf16, to).bytes().len(), 0);
        }
    }
}
