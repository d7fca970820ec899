//! Encoding of rows in blocks, with the rounding of llama.cpp's reference functions.

use half::{bf16, f16};

use super::ggml_type::GgmlType;

/// Encodes a row of whole blocks in one of the [writable](GgmlType::writable) types; nothing in another type.
pub(super) fn encode_row(ggml_type: GgmlType, values: &[f32]) -> Vec<u8> {
    match ggml_type {
        GgmlType::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        GgmlType::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        GgmlType::Bf16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        GgmlType::Q8_0 => groups(values).flat_map(q8_0).collect(),
        GgmlType::Q4_0 => groups(values).flat_map(q4_0).collect(),
        GgmlType::Q4_1 => groups(values).flat_map(q4_1).collect(),
        _ => Vec::new(),
    }
}

fn groups(values: &[f32]) -> std::slice::Iter<'_, [f32; 32]> {
    values.as_chunks::<32>().0.iter()
}

/// `1 / scale`, or 0 for the scale 0, that of a group of zeros or, in Q4_1, of equal values.
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

fn q8_0(values: &[f32; 32]) -> [u8; 34] {
    let scale = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs())) / 127.0;
    let inverse = inverse(scale);
    let mut block = [0; 34];
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (code, value) in block[2..].iter_mut().zip(values) {
        *code = (value * inverse).round() as i8 as u8;
    }
    block
}

fn q4_0(values: &[f32; 32]) -> [u8; 18] {
    let extreme =
        values.iter().fold(0.0_f32, |extreme, value| if value.abs() > extreme.abs() { *value } else { extreme });
    let scale = extreme / -8.0;
    let inverse = inverse(scale);
    let mut block = [0; 18];
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    nibbles(&mut block[2..], |index| values[index] * inverse + 8.5);
    block
}

fn q4_1(values: &[f32; 32]) -> [u8; 20] {
    let (low, high) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let scale = (high - low) / 15.0;
    let inverse = inverse(scale);
    let mut block = [0; 20];
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    block[2..4].copy_from_slice(&f16::from_f32(low).to_le_bytes());
    nibbles(&mut block[4..], |index| (values[index] - low) * inverse + 0.5);
    block
}

/// Fills 16 bytes with 32 codes, truncated and limited to 15: the first half is in the low nibbles.
fn nibbles(bytes: &mut [u8], code: impl Fn(usize) -> f32) {
    let code = |index| (code(index) as u8).min(15);
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = code(index) | code(index + 16) << 4;
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;
    use crate::gguf::decode_row;

    /// Rows and their blocks, made with the Python package `gguf` (tests/golden/gguf_files.py).
    const BLOCKS: &[u8] = include_bytes!("../../tests/data/gguf/blocks.safetensors");

    #[test]
    fn blocks_equal_those_of_the_python_package() {
        let file = SafeTensors::deserialize(BLOCKS).unwrap();
        for ggml_type in GgmlType::writable().filter(|ggml_type| *ggml_type != GgmlType::F32) {
            let rows = file.tensor(&format!("{}.source", ggml_type.name())).unwrap();
            let values: Vec<f32> =
                rows.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let own = encode_row(ggml_type, &values);
            let expected = file.tensor(ggml_type.name()).unwrap();
            let different = own.iter().zip(expected.data()).filter(|(own, expected)| own != expected).count();
            assert_eq!((own.len(), different), (expected.data().len(), 0), "{ggml_type:?}");
        }
    }

    #[test]
    fn groups_of_equal_values_are_kept() {
        for ggml_type in GgmlType::writable() {
            for value in [0.0, 1.0, -2.0] {
                let mut back = [f32::NAN; 32];
                decode_row(ggml_type, &encode_row(ggml_type, &[value; 32]), &mut back);
                assert!(back.iter().all(|back| (back - value).abs() < 2e-3), "{ggml_type:?} {value}: {back:?}");
            }
        }
    }
}
