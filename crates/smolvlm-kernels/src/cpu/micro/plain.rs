//! Portable microkernels in safe code, compiled for each vector instruction set; also the reference for the tests of
//! the others.

#![expect(clippy::needless_range_loop, reason = "rows and columns index several arrays of constant size")]

use super::{COLUMNS, Operand, Q4_LINES, Q8_LINES, QuantParams, Tile};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::half;
use crate::cpu::isa::{one_by_one, vectorized};
use crate::{Q4_GROUP, Q8_GROUP};

/// Columns per sub-tile, so that the sums of [`SUB_ROWS`] rows stay in registers.
const HALF: usize = COLUMNS / 2;
/// Rows per sub-tile.
const SUB_ROWS: usize = 4;

/// Runs a body for each sub-tile, with its first row, number of rows and half of the columns. A function with a closure
/// would be compiled for the baseline instruction set.
macro_rules! sub_tiles {
    ($rows:expr, |$first:ident, $count:ident, $half:ident| $body:block) => {
        for $half in 0..2 {
            for $first in (0..$rows).step_by(SUB_ROWS) {
                let $count = SUB_ROWS.min($rows - $first);
                $body
            }
        }
    };
}

vectorized! {
    pub(crate) fn f32_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
        let mut out = out;
        sub_tiles!(a.rows, |first, count, half| {
            let mut sums = [[0.0_f32; HALF]; SUB_ROWS];
            // A partial sub-tile repeats its last row; the extra results are discarded.
            let rows: [&[u32]; SUB_ROWS] =
                std::array::from_fn(|row| &a.words[(first + row.min(count - 1)) * a.stride..][..panels.len() * steps]);
            for (index, panel) in panels.iter().enumerate() {
                for step in 0..steps {
                    let weights: &[u32; HALF] = &panel[2 * step + half].0;
                    for row in 0..SUB_ROWS {
                        let value = f32::from_bits(rows[row][index * steps + step]);
                        for column in 0..HALF {
                            sums[row][column] = madd::<FUSED>(value, f32::from_bits(weights[column]), sums[row][column]);
                        }
                    }
                }
            }
            store(&sums, first, count, half, &mut out);
        });
    }
}

vectorized! {
    pub(crate) fn bf16_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
        let mut out = out;
        sub_tiles!(a.rows, |first, count, half| {
            let mut sums = [[0.0_f32; HALF]; SUB_ROWS];
            let rows: [&[u32]; SUB_ROWS] =
                std::array::from_fn(|row| &a.words[(first + row.min(count - 1)) * a.stride..][..panels.len() * steps]);
            for (index, panel) in panels.iter().enumerate() {
                for step in 0..steps {
                    let weights: &[u32; HALF] = &panel[2 * step + half].0;
                    for row in 0..SUB_ROWS {
                        let pair = rows[row][index * steps + step];
                        for column in 0..HALF {
                            let sum = madd::<FUSED>(low(pair), low(weights[column]), sums[row][column]);
                            sums[row][column] = madd::<FUSED>(high(pair), high(weights[column]), sum);
                        }
                    }
                }
            }
            store(&sums, first, count, half, &mut out);
        });
    }
}

vectorized! {
    pub(crate) fn mixed_tile(a: Operand<'_>, panel: &[CacheLine], steps: usize, out: Tile<'_>) {
        let mut out = out;
        sub_tiles!(a.rows, |first, count, half| {
            let mut sums = [[0.0_f32; HALF]; SUB_ROWS];
            let rows: [&[u32]; SUB_ROWS] =
                std::array::from_fn(|row| &a.words[(first + row.min(count - 1)) * a.stride..][..2 * steps]);
            for step in 0..steps {
                let weights: &[u32; HALF] = &panel[2 * step + half].0;
                for row in 0..SUB_ROWS {
                    let values = [2 * step, 2 * step + 1].map(|input| f32::from_bits(rows[row][input]));
                    for column in 0..HALF {
                        let sum = madd::<FUSED>(values[0], low(weights[column]), sums[row][column]);
                        sums[row][column] = madd::<FUSED>(values[1], high(weights[column]), sum);
                    }
                }
            }
            store(&sums, first, count, half, &mut out);
        });
    }
}

vectorized! {
    /// Converts a bf16 panel to f32.
    pub(crate) fn bf16_to_f32(panel: &[CacheLine], out: &mut [CacheLine]) {
        for (pairs, out) in panel.as_chunks::<2>().0.iter().zip(out.as_chunks_mut::<4>().0) {
            let out = one_by_one(out);
            for half in 0..2 {
                for column in 0..HALF {
                    let pair = pairs[half].0[column];
                    out[half].0[column] = low(pair).to_bits();
                    out[2 + half].0[column] = high(pair).to_bits();
                }
            }
        }
    }
}

vectorized! {
    pub(crate) fn q8_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, out: Tile<'_>) {
        const STEPS: usize = Q8_GROUP / 4;
        let mut out = out;
        sub_tiles!(a.rows, |first, count, half| {
            let mut values = [[0.0_f32; HALF]; SUB_ROWS];
            for group in 0..groups {
                let lines = &panel[group * Q8_LINES..][..Q8_LINES];
                let scales = scales(&lines[Q8_LINES - 1].0, half);
                for row in 0..count {
                    let index = (first + row) * groups + group;
                    let words = &a.words[(first + row) * a.stride + group * STEPS..][..STEPS];
                    let mut sums = [q.offset[index]; HALF];
                    for step in 0..STEPS {
                        dot4(&mut sums, words[step], one_by_one(&lines[2 * step + half].0));
                    }
                    for column in 0..HALF {
                        let scale = scales[column] * q.scale[index];
                        values[row][column] = madd::<FUSED>(sums[column] as f32, scale, values[row][column]);
                    }
                }
            }
            store(&values, first, count, half, &mut out);
        });
    }
}

vectorized! {
    pub(crate) fn q4_tile(a: Operand<'_>, q: QuantParams<'_>, panel: &[CacheLine], groups: usize, out: Tile<'_>) {
        const STEPS: usize = Q4_GROUP / 4;
        let mut out = out;
        sub_tiles!(a.rows, |first, count, half| {
            let mut values = [[0.0_f32; HALF]; SUB_ROWS];
            for group in 0..groups {
                let lines = &panel[group * Q4_LINES..][..Q4_LINES];
                let (scales, minima) =
                    (scales(&lines[Q4_LINES - 2].0, half), scales(&lines[Q4_LINES - 1].0, half));
                for row in 0..count {
                    let index = (first + row) * groups + group;
                    let words = &a.words[(first + row) * a.stride + group * STEPS..][..STEPS];
                    let mut sums = [0; HALF];
                    for step in 0..STEPS / 2 {
                        let packed = one_by_one(&lines[2 * step + half].0);
                        dot4(&mut sums, words[step], &packed.map(|word| word & 0x0f0f_0f0f));
                        dot4(&mut sums, words[step + STEPS / 2], &packed.map(|word| (word >> 4) & 0x0f0f_0f0f));
                    }
                    let (scale, total) = (q.scale[index], q.offset[index] as f32);
                    for column in 0..HALF {
                        let value = madd::<FUSED>(sums[column] as f32, scales[column], total * minima[column]);
                        values[row][column] = madd::<FUSED>(value, scale, values[row][column]);
                    }
                }
            }
            store(&values, first, count, half, &mut out);
        });
    }
}

/// Converts a panel of 8-bit weights to bf16.
pub(crate) fn q8_to_bf16(panel: &[CacheLine], out: &mut [CacheLine]) {
    for (group, out) in panel.as_chunks::<Q8_LINES>().0.iter().zip(out.as_chunks_mut::<Q8_GROUP>().0) {
        for half in 0..2 {
            let scales = scales(&group[Q8_LINES - 1].0, half);
            for step in 0..Q8_GROUP / 4 {
                for column in 0..HALF {
                    let codes = group[2 * step + half].0[column].to_le_bytes();
                    let values = codes.map(|code| (f32::from(code) - 128.0) * scales[column]);
                    out[4 * step + half].0[column] = pair(values[0], values[1]);
                    out[4 * step + 2 + half].0[column] = pair(values[2], values[3]);
                }
            }
        }
    }
}

/// Converts a panel of 4-bit weights to bf16.
pub(crate) fn q4_to_bf16(panel: &[CacheLine], out: &mut [CacheLine]) {
    for (group, out) in panel.as_chunks::<Q4_LINES>().0.iter().zip(out.as_chunks_mut::<Q4_GROUP>().0) {
        let (early, late) = out.split_at_mut(Q4_GROUP / 2);
        for half in 0..2 {
            let (scales, minima) = (scales(&group[Q4_LINES - 2].0, half), scales(&group[Q4_LINES - 1].0, half));
            for step in 0..Q4_GROUP / 8 {
                for column in 0..HALF {
                    let codes = group[2 * step + half].0[column].to_le_bytes();
                    for (out, codes) in
                        [(&mut *early, codes.map(|code| code & 15)), (&mut *late, codes.map(|code| code >> 4))]
                    {
                        let values = codes.map(|code| f32::from(code) * scales[column] + minima[column]);
                        out[4 * step + half].0[column] = pair(values[0], values[1]);
                        out[4 * step + 2 + half].0[column] = pair(values[2], values[3]);
                    }
                }
            }
        }
    }
}

/// A pair of values rounded to bf16.
fn pair(low: f32, high: f32) -> u32 {
    u32::from(half::round(low)) | u32::from(half::round(high)) << 16
}

/// The scales of half of the columns; those of columns `c` and `c + 16` share a word.
#[inline(always)]
fn scales(words: &[u32; HALF], half: usize) -> [f32; HALF] {
    if half == 0 { words.map(low) } else { words.map(high) }
}

#[inline(always)]
fn store(sums: &[[f32; HALF]; SUB_ROWS], first: usize, count: usize, half: usize, out: &mut Tile<'_>) {
    for row in 0..count {
        out.sums[(first + row) * out.stride + half * HALF..][..HALF].copy_from_slice(&sums[row]);
    }
}

/// Adds the dot product of four signed values and four unsigned weights, for each column.
#[inline(always)]
fn dot4(sums: &mut [i32; HALF], values: u32, weights: &[u32; HALF]) {
    for byte in 0..4 {
        let value = i32::from((values >> (8 * byte)) as u8 as i8);
        for column in 0..HALF {
            sums[column] += value * ((weights[column] >> (8 * byte)) & 0xff) as i32;
        }
    }
}

/// The bf16 in the low half of a word.
#[inline(always)]
fn low(pair: u32) -> f32 {
    f32::from_bits(pair << 16)
}

/// The bf16 in the high half of a word.
#[inline(always)]
fn high(pair: u32) -> f32 {
    f32::from_bits(pair & 0xffff_0000)
}

/// `a * b + c`, fused only if the processor has the instruction: otherwise `mul_add` is a slow library call.
#[inline(always)]
fn madd<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
