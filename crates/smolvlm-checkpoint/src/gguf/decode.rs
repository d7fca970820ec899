//! Decoding of blocks to f32.

use half::f16;
use smolvlm_config::FloatType;

use super::ggml_type::GgmlType;
use crate::values::widen;

/// Decodes a row of `out.len()` values, whole blocks, from its bytes.
pub(crate) fn decode_row(ggml_type: GgmlType, bytes: &[u8], out: &mut [f32]) {
    match ggml_type {
        GgmlType::F32 => widen(bytes, FloatType::F32, out),
        GgmlType::F16 => widen(bytes, FloatType::F16, out),
        GgmlType::Bf16 => widen(bytes, FloatType::Bf16, out),
        GgmlType::Q4_0 => blocks(bytes, out, |block: &[u8; 18], out: &mut [f32; 32]| {
            let scale = half_at(block, 0);
            nibbles(&block[2..], out, |code, _| scale * (f32::from(code) - 8.0));
        }),
        GgmlType::Q4_1 => blocks(bytes, out, |block: &[u8; 20], out: &mut [f32; 32]| {
            let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
            nibbles(&block[4..], out, |code, _| scale * f32::from(code) + minimum);
        }),
        GgmlType::Q5_0 => blocks(bytes, out, |block: &[u8; 22], out: &mut [f32; 32]| {
            let (scale, high) = (half_at(block, 0), u32::from_le_bytes([block[2], block[3], block[4], block[5]]));
            nibbles(&block[6..], out, |code, index| scale * (f32::from(code | bit(high, index) << 4) - 16.0));
        }),
        GgmlType::Q5_1 => blocks(bytes, out, |block: &[u8; 24], out: &mut [f32; 32]| {
            let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
            let high = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
            nibbles(&block[8..], out, |code, index| scale * f32::from(code | bit(high, index) << 4) + minimum);
        }),
        GgmlType::Q8_0 => blocks(bytes, out, |block: &[u8; 34], out: &mut [f32; 32]| {
            let scale = half_at(block, 0);
            for (value, code) in out.iter_mut().zip(&block[2..]) {
                *value = scale * f32::from(*code as i8);
            }
        }),
        GgmlType::Q4K => blocks(bytes, out, |block: &[u8; 144], out: &mut [f32; 256]| {
            k_block(block, &block[16..], out, |_, _| 0);
        }),
        GgmlType::Q5K => blocks(bytes, out, |block: &[u8; 176], out: &mut [f32; 256]| {
            k_block(block, &block[48..], out, |group, index| (block[16 + index] >> group & 1) << 4);
        }),
        GgmlType::Q6K => blocks(bytes, out, q6_k_block),
    }
}

/// Decodes all blocks of a row.
fn blocks<const B: usize, const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn(&[u8; B], &mut [f32; N])) {
    for (block, out) in bytes.as_chunks::<B>().0.iter().zip(out.as_chunks_mut::<N>().0) {
        decode(block, out);
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn bit(bits: u32, index: usize) -> u8 {
    (bits >> index & 1) as u8
}

/// Decodes 32 values from 16 bytes: the low nibbles are the first half, the high nibbles the second.
fn nibbles(bytes: &[u8], out: &mut [f32; 32], value: impl Fn(u8, usize) -> f32) {
    let (low, high) = out.split_at_mut(16);
    for (index, ((low, high), byte)) in low.iter_mut().zip(high).zip(bytes).enumerate() {
        *low = value(byte & 15, index);
        *high = value(byte >> 4, index + 16);
    }
}

/// Decodes a block of Q4_K or Q5_K: 8 groups of 32 values, whose codes are the nibbles of `codes` plus the `high` bits
/// of group and index.
fn k_block(block: &[u8], codes: &[u8], out: &mut [f32; 256], high: impl Fn(usize, usize) -> u8) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (factor, offset) = k_scale(&block[4..16], group);
        let (scale, minimum) = (scale * f32::from(factor), minimum * f32::from(offset));
        // Two groups share 32 bytes.
        let codes = &codes[group / 2 * 32..];
        for (index, value) in out.iter_mut().enumerate() {
            let code = codes[index] >> (group % 2 * 4) & 15 | high(group, index);
            *value = scale * f32::from(code) - minimum;
        }
    }
}

/// Scale and minimum of a group, 6 bits each, in 12 bytes for 8 groups.
fn k_scale(packed: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        return (packed[group] & 63, packed[group + 4] & 63);
    }
    let low = packed[group + 4];
    (low & 15 | packed[group - 4] >> 6 << 4, low >> 4 | packed[group] >> 6 << 4)
}

fn q6_k_block(block: &[u8; 210], out: &mut [f32; 256]) {
    let scale = half_at(block, 208);
    for (index, value) in out.iter_mut().enumerate() {
        // Each half has 64 bytes of low and 32 bytes of high bits, for 4 quarters of 32 values.
        let (half, quarter, lane) = (index / 128, index % 128 / 32, index % 32);
        let low = block[half * 64 + quarter % 2 * 32 + lane] >> (quarter / 2 * 4) & 15;
        let high = block[128 + half * 32 + lane] >> (quarter * 2) & 3;
        let factor = block[192 + index / 16] as i8;
        *value = scale * f32::from(factor) * (f32::from(low | high << 4) - 32.0);
    }
}

#[cfg(test)]
mod tests;
