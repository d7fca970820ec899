//! Conversion of stored bytes to tensor values, in parallel, in one pass and with one allocation.

use burn::tensor::{DType, TensorData};
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::vec::HalfBitsVecExt;
use half::{bf16, f16};
use rayon::prelude::*;
use smolvlm_config::FloatType;

/// Values per parallel task: 64 kB of `f32`, so that a task's intermediate values fit the CPU cache.
pub(crate) const CHUNK: usize = 1 << 14;

/// The Burn data type of a float type.
pub(crate) fn dtype(float: FloatType) -> DType {
    match float {
        FloatType::F32 => DType::F32,
        FloatType::Bf16 => DType::BF16,
        FloatType::F16 => DType::F16,
    }
}

/// Converts little-endian values of type `from` to tensor values of type `to`.
///
/// Goes through `f32`, which holds every value of the three types; narrowing rounds to nearest, ties to even. `bytes`
/// must hold as many values as `shape` has elements, or creating the tensor fails.
pub(crate) fn tensor_data(bytes: &[u8], from: FloatType, to: FloatType, shape: &[usize]) -> TensorData {
    match to {
        FloatType::F32 => tensor_from_fn(bytes.len() / from.bytes(), to, shape, |start, values| {
            widen(&bytes[start * from.bytes()..], from, values);
        }),
        _ if from == to => {
            let mut bits = vec![0_u16; bytes.len() / 2];
            bits.par_chunks_mut(CHUNK).zip(bytes.par_chunks(2 * CHUNK)).for_each(|(bits, bytes)| copy_u16(bytes, bits));
            half_tensor(bits, to, shape)
        }
        _ => tensor_from_fn(bytes.len() / from.bytes(), to, shape, |start, values| {
            widen(&bytes[start * from.bytes()..], from, values);
        }),
    }
}

/// Generates tensor values of type `to` with a function that fills a chunk with `f32` values, given the chunk's start.
///
/// Chunks start at multiples of [`CHUNK`] and are at most that long; they are filled in parallel and in any order.
pub(crate) fn tensor_from_fn(
    elements: usize,
    to: FloatType,
    shape: &[usize],
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> TensorData {
    if to == FloatType::F32 {
        let mut values = vec![0_f32; elements];
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| fill(chunk * CHUNK, values));
        return TensorData::new(values, shape.to_vec());
    }
    let mut bits = vec![0_u16; elements];
    bits.par_chunks_mut(CHUNK).enumerate().for_each_init(
        || vec![0_f32; CHUNK.min(elements)],
        |wide, (chunk, bits)| {
            let wide = &mut wide[..bits.len()];
            fill(chunk * CHUNK, wide);
            narrow(wide, to, bits);
        },
    );
    half_tensor(bits, to, shape)
}

/// Creates a 16-bit tensor from its bits without a copy.
fn half_tensor(bits: Vec<u16>, to: FloatType, shape: &[usize]) -> TensorData {
    if to == FloatType::Bf16 {
        TensorData::new(bits.reinterpret_into::<bf16>(), shape.to_vec())
    } else {
        TensorData::new(bits.reinterpret_into::<f16>(), shape.to_vec())
    }
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

/// Rounds `values` to the 16-bit type `to`: to nearest, ties to even.
fn narrow(values: &[f32], to: FloatType, bits: &mut [u16]) {
    if to == FloatType::F16 {
        bits.reinterpret_cast_mut::<f16>().convert_from_f32_slice(values);
        return;
    }
    for (bits, value) in bits.iter_mut().zip(values) {
        let wide = value.to_bits();
        // Adds half a unit in the last kept place, less one if that bit is even: a carry out of the lower half rounds
        // up.
        let rounded = wide.wrapping_add(0x7fff + ((wide >> 16) & 1)) >> 16;
        // A NaN must not be rounded to infinity: keep its upper half and set the quiet bit.
        let nan = (wide >> 16) | 0x40;
        *bits = if value.is_nan() { nan } else { rounded } as u16;
    }
}

fn copy_u16(bytes: &[u8], bits: &mut [u16]) {
    for (bits, bytes) in bits.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *bits = u16::from_le_bytes(*bytes);
    }
}

/// The little-endian bytes of tensor values of one of the three types.
pub(crate) fn to_bytes(data: TensorData) -> Vec<u8> {
    if cfg!(target_endian = "little") {
        return data.bytes().to_vec();
    }
    match data.dtype() {
        DType::F32 => data.iter::<f32>().flat_map(f32::to_le_bytes).collect(),
        DType::BF16 => data.iter::<bf16>().flat_map(bf16::to_le_bytes).collect(),
        _ => data.iter::<f16>().flat_map(f16::to_le_bytes).collect(),
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
                let data = tensor_data(&bytes, from, to, &[values.len()]);
                assert_eq!(data.dtype(), dtype(to));
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
            assert_eq!(to_bytes(tensor_data(&bytes, float, float, &[3])), bytes);
        }
    }

    #[test]
    fn empty_tensors_are_converted() {
        for to in ALL {
            assert_eq!(tensor_data(&[], FloatType::Bf16, to, &[0, 4]).bytes().len(), 0);
        }
    }
}
