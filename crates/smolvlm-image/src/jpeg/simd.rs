//! SIMD inner loops of JPEG decoding: inverse DCT of a block, and interleaving of color channels.
//!
//! The inverse DCT is the accurate integer one of libjpeg ("islow"; Loeffler, Ligtenberg and Moschytz 1989), with the
//! value ranges of libjpeg-turbo's SIMD code: dequantization wraps at 16 bits, and both passes saturate to 16 bits.
//! This does not affect coefficients of real images, and damaged ones are decoded as in the reference.

use super::entropy::Block;
use super::frame::SIDE;
use crate::simd::Portable;

/// Pixels per color conversion step.
pub(crate) const PIXELS: usize = 32;
/// Fraction bits of the constants.
pub(crate) const FRACTION: i32 = 13;
/// Right shift of the results of each pass; the first keeps two more bits.
pub(crate) const SHIFTS: [i32; 2] = [FRACTION - 2, FRACTION + 5];

/// Pairs of factors, with [`FRACTION`] fraction bits. An output is `a * pair.0 + b * pair.1` of two inputs `a` and `b`.
pub(crate) mod factors {
    const fn pair(first: f64, second: f64) -> (i16, i16) {
        const fn fixed(value: f64) -> i16 {
            (value * 8192.0 + if value < 0.0 { -0.5 } else { 0.5 }) as i16
        }
        (fixed(first), fixed(second))
    }
    const fn sum(first: (i16, i16), second: (i16, i16)) -> (i16, i16) {
        (first.0 + second.0, first.1 + second.1)
    }

    /// Rows 2 and 6 to the even part.
    pub(crate) const EVEN: [(i16, i16); 2] = [
        sum(pair(0.541196100, 0.541196100), pair(0.765366865, 0.0)),
        sum(pair(0.541196100, 0.541196100), pair(0.0, -1.847759065)),
    ];
    /// Sums of rows 7 and 3, and of 5 and 1, to what the odd outputs share.
    pub(crate) const SHARED: [(i16, i16); 2] = [
        sum(pair(1.175875602, 1.175875602), pair(-1.961570560, 0.0)),
        sum(pair(1.175875602, 1.175875602), pair(0.0, -0.390180644)),
    ];
    /// Rows 7 and 1 to the first and last odd output.
    pub(crate) const OUTER: [(i16, i16); 2] = [
        sum(pair(-0.899976223, -0.899976223), pair(0.298631336, 0.0)),
        sum(pair(-0.899976223, -0.899976223), pair(0.0, 1.501321110)),
    ];
    /// Rows 5 and 3 to the odd outputs between.
    pub(crate) const INNER: [(i16, i16); 2] = [
        sum(pair(-2.562915447, -2.562915447), pair(2.053119869, 0.0)),
        sum(pair(-2.562915447, -2.562915447), pair(0.0, 3.072711026)),
    ];
}

/// The inner loops for one instruction set.
pub(crate) trait JpegSimd: Copy {
    /// Inverse DCT of a block of coefficients, in row order. `steps` are the quantization steps.
    fn inverse_transform(self, block: &Block, steps: &Block) -> [[u8; SIDE]; SIDE];

    /// Interleaves three channels.
    fn interleave(self, channels: [[u8; PIXELS]; 3]) -> [[u8; 3]; PIXELS];
}

impl JpegSimd for Portable {
    #[inline(always)]
    fn inverse_transform(self, block: &Block, steps: &Block) -> [[u8; SIDE]; SIDE] {
        let mut rows = [[0i16; SIDE]; SIDE];
        for (value, (&coefficient, &step)) in rows.as_flattened_mut().iter_mut().zip(block.iter().zip(steps)) {
            *value = coefficient.wrapping_mul(step);
        }
        let rows = if block[SIDE..].iter().all(|&coefficient| coefficient == 0) {
            [rows[0].map(|value| value.wrapping_shl(2)); SIDE]
        } else {
            pass(rows, SHIFTS[0])
        };
        let columns = pass(transpose(rows), SHIFTS[1]);
        transpose(columns).map(|row| row.map(|sample| (sample.clamp(-128, 127) + 128) as u8))
    }

    #[inline(always)]
    fn interleave(self, [red, green, blue]: [[u8; PIXELS]; 3]) -> [[u8; 3]; PIXELS] {
        std::array::from_fn(|at| [red[at], green[at], blue[at]])
    }
}

/// Transforms columns.
#[inline(always)]
fn pass(rows: [[i16; SIDE]; SIDE], shift: i32) -> [[i16; SIDE]; SIDE] {
    let mut out = [[0; SIDE]; SIDE];
    for column in 0..SIDE {
        let input = rows.map(|row| row[column]);
        let dot = |a: i16, b: i16, pair: (i16, i16)| {
            (i32::from(a) * i32::from(pair.0)).wrapping_add(i32::from(b) * i32::from(pair.1))
        };
        let even = [0, 1].map(|at| dot(input[2], input[6], factors::EVEN[at]));
        let sum = i32::from(input[0].wrapping_add(input[4])) << FRACTION;
        let difference = i32::from(input[0].wrapping_sub(input[4])) << FRACTION;
        let evens = [
            sum.wrapping_add(even[0]),
            difference.wrapping_add(even[1]),
            difference.wrapping_sub(even[1]),
            sum.wrapping_sub(even[0]),
        ];
        let (left, right) = (input[7].wrapping_add(input[3]), input[5].wrapping_add(input[1]));
        let shared = [0, 1].map(|at| dot(left, right, factors::SHARED[at]));
        let odds = [
            dot(input[7], input[1], factors::OUTER[1]).wrapping_add(shared[1]),
            dot(input[5], input[3], factors::INNER[1]).wrapping_add(shared[0]),
            dot(input[5], input[3], factors::INNER[0]).wrapping_add(shared[1]),
            dot(input[7], input[1], factors::OUTER[0]).wrapping_add(shared[0]),
        ];
        let round =
            |sum: i32| (sum.wrapping_add(1 << (shift - 1)) >> shift).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        for (at, (&even, &odd)) in evens.iter().zip(&odds).enumerate() {
            out[at][column] = round(even.wrapping_add(odd));
            out[SIDE - 1 - at][column] = round(even.wrapping_sub(odd));
        }
    }
    out
}

#[inline(always)]
fn transpose(rows: [[i16; SIDE]; SIDE]) -> [[i16; SIDE]; SIDE] {
    std::array::from_fn(|row| std::array::from_fn(|column| rows[column][row]))
}

#[cfg(test)]
mod tests {
    use super::{JpegSimd, PIXELS, SIDE};
    use crate::simd::{Portable, Simd, Work, dispatch};

    /// Compares an instruction set with scalar loops, on various blocks up to the extreme values.
    struct Compare;

    impl Work for Compare {
        #[inline(always)]
        fn run<L: Simd>(self, simd: L) {
            let mut state = 1u32;
            let mut random = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as i16
            };
            for round in 0..4000 {
                let (shift, filled) = (round % 16, [1, SIDE, 20, SIDE * SIDE][round as usize / 16 % 4]);
                let mut block = [0; SIDE * SIDE];
                block[..filled].fill_with(|| random() >> shift);
                let steps = std::array::from_fn(|_| if round % 3 == 0 { 1 } else { random() >> (round % 5 * 3) });
                let found = simd.inverse_transform(&block, &steps);
                assert_eq!(found, Portable.inverse_transform(&block, &steps), "{block:?} {steps:?}");
            }
            let channels = std::array::from_fn(|channel| std::array::from_fn(|at| (channel * PIXELS + at) as u8));
            assert_eq!(simd.interleave(channels), Portable.interleave(channels));
        }
    }

    #[test]
    fn instruction_sets_agree() {
        dispatch(Compare);
    }

    #[test]
    fn dc_only_block_is_flat() {
        let mut block = [0; SIDE * SIDE];
        block[0] = -30;
        // One eighth of -30 * 5, relative to the middle of the range.
        assert_eq!(Portable.inverse_transform(&block, &[5; SIDE * SIDE]), [[128 - 19; SIDE]; SIDE]);
    }
}
