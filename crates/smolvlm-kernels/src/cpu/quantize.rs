//! Quantization of weights in groups of 8 bits and of 4 bits.
//!
//! Of several scales, the one with the least squared error is taken. Quantization is idempotent: quantizing the
//! dequantized weights gives the same values.

use super::hadamard::hadamard;
use super::half;
use crate::{PackedFormat, Q4_GROUP, Q8_GROUP};

/// Prepares a row of weights for quantization: pads it after its inputs, and in 8 bits transforms whole groups. The
/// activations of padding are zero; in 4 bits it repeats the last weight, so that it does not change the range of the
/// group, and quantization stays idempotent.
pub fn prepare_weights(format: PackedFormat, row: &mut [f32], inputs: usize) {
    let padding = if format == PackedFormat::Q4 { row[..inputs].last().copied().unwrap_or(0.0) } else { 0.0 };
    row[inputs..].fill(padding);
    if format == PackedFormat::Q8 {
        hadamard(&mut row[..inputs]);
    }
}

/// Candidates for the unrounded 8-bit code of the largest weight of a group: scales are rounded to bf16.
const LARGEST_CODES: [f32; 5] = [127.0, 126.75, 126.5, 126.25, 126.0];

/// Quantizes a group of weights to 8 bits; returns the bits of the bf16 scale, and the codes. A group with a NaN or
/// infinity becomes zeros with an infinite scale, which makes every product NaN.
pub fn quantize_q8(values: &[f32; Q8_GROUP]) -> (u16, [i8; Q8_GROUP]) {
    let largest = largest_magnitude(values);
    let rounded = LARGEST_CODES.map(|code| half::round(largest / code));
    let scales = rounded.map(half::wide);
    let inverses = scales.map(safe_inverse);
    let code = |value: f32, inverse: f32| nearest((value * inverse).clamp(-127.0, 127.0));
    // All scales for one value in the inner loop, so that it vectorizes.
    let mut errors = [0.0; LARGEST_CODES.len()];
    for value in values {
        for ((error, scale), inverse) in errors.iter_mut().zip(scales).zip(inverses) {
            let difference = code(*value, inverse) * scale - value;
            *error += difference * difference;
        }
    }
    let best = best(&errors);
    (rounded[best], values.map(|value| code(value, inverses[best]) as i8))
}

/// Shares of a group's range that are cut off below and above: the weights there are clipped, and the others get finer
/// steps.
const CLIPPED: [[f32; 2]; 8] =
    [[0.0, 0.0], [0.0, 0.02], [0.02, 0.0], [0.02, 0.02], [0.0, 0.04], [0.04, 0.0], [0.02, 0.04], [0.04, 0.02]];

/// Quantizes a group of weights to 4 bits; returns the bits of the bf16 scale and of the bf16 minimum, and the codes,
/// two in a byte, the earlier one in the low nibble. A group with a NaN or infinity becomes zeros with an infinite
/// scale, which makes every product NaN.
pub fn quantize_q4(values: &[f32; Q4_GROUP]) -> ([u16; 2], [u8; Q4_GROUP / 2]) {
    if values.iter().any(|value| !value.is_finite()) {
        return ([half::round(f32::INFINITY), 0], [0; Q4_GROUP / 2]);
    }
    let (low, high) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let range = high - low;
    let steps = steps_of_grid(values, low, range);
    let rounded = CLIPPED.map(|[below, above]| {
        // Values on a grid are not clipped.
        let (below, above) = if steps.is_some() { (0.0, 0.0) } else { (below, above) };
        let minimum = half::round(low + below * range);
        let scale = (high - above * range - half::wide(minimum)) / steps.unwrap_or(15.0);
        [half::round(scale.max(0.0)), minimum]
    });
    let [scales, minima] = [0, 1].map(|index| rounded.map(|pair| half::wide(pair[index])));
    let inverses = scales.map(safe_inverse);
    let code = |value: f32, minimum: f32, inverse: f32| nearest(((value - minimum) * inverse).clamp(0.0, 15.0));
    let mut errors = [0.0; CLIPPED.len()];
    for value in values {
        for (((error, scale), minimum), inverse) in errors.iter_mut().zip(scales).zip(minima).zip(inverses) {
            let difference = code(*value, minimum, inverse) * scale + minimum - value;
            *error += difference * difference;
        }
    }
    let best = best(&errors);
    let codes = values.map(|value| code(value, minima[best], inverses[best]) as u8);
    (rounded[best], std::array::from_fn(|pair| codes[2 * pair] | codes[2 * pair + 1] << 4))
}

/// Distance from an integer, in steps, below which a value is on a grid. Values of Q4_K have an error of 1e-5.
const ON_GRID: f32 = 1e-3;

/// The number of steps from the smallest to the largest weight, if all weights are on a grid of at most 16 values:
/// those that were quantized before keep their codes, even if they do not use all 16.
fn steps_of_grid(values: &[f32; Q4_GROUP], low: f32, range: f32) -> Option<f32> {
    let is_on = |steps: &f32| {
        let per_range = steps / range;
        values.iter().all(|value| {
            let position = (value - low) * per_range;
            (position - nearest(position)).abs() < ON_GRID
        })
    };
    (1..=15_u8).rev().map(f32::from).find(is_on)
}

/// The first of the smallest errors.
fn best(errors: &[f32]) -> usize {
    (1..errors.len()).fold(0, |best, next| if errors[next] < errors[best] { next } else { best })
}

/// The largest absolute value; infinity if any value is not finite.
fn largest_magnitude(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest: f32, value| if value.is_finite() { largest.max(value.abs()) } else { f32::INFINITY })
}

/// `1 / scale`, or 0 if that is not finite: for a group of zeros, and for one that cannot be scaled.
fn safe_inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// Rounds values below 2^22 to the nearest integer, ties to even: a sum with 1.5 * 2^23 has no fraction bits. Without
/// SSE4.1, `round_ties_even` is a function call and takes ten times as long.
fn nearest(value: f32) -> f32 {
    const ROUND: f32 = 1.5 * (1 << 23) as f32;
    (value + ROUND) - ROUND
}

#[cfg(test)]
mod tests {
    use super::{half, nearest, quantize_q4, quantize_q8};
    use crate::cpu::tests::Rng;
    use crate::{Q4_GROUP, Q8_GROUP};

    fn dequantized_q8(values: &[f32; Q8_GROUP]) -> [f32; Q8_GROUP] {
        let (scale, codes) = quantize_q8(values);
        codes.map(|code| f32::from(code) * half::wide(scale))
    }

    fn codes(pairs: [u8; Q4_GROUP / 2]) -> [u8; Q4_GROUP] {
        std::array::from_fn(|index| pairs[index / 2] >> (4 * (index % 2)) & 0x0f)
    }

    fn dequantized_q4(values: &[f32; Q4_GROUP]) -> [f32; Q4_GROUP] {
        let ([scale, minimum], pairs) = quantize_q4(values);
        codes(pairs).map(|code| f32::from(code) * half::wide(scale) + half::wide(minimum))
    }

    #[test]
    fn quantization_is_idempotent() {
        let mut rng = Rng::new(12);
        for _ in 0..2000 {
            let size = 10f32.powi(rng.below(12) as i32 - 8);
            let values: [f32; Q8_GROUP] = std::array::from_fn(|_| rng.value() * rng.value() * size);
            let back = dequantized_q8(&values);
            assert_eq!(dequantized_q8(&back), back);
            let values: [f32; Q4_GROUP] = std::array::from_fn(|index| values[index]);
            let back = dequantized_q4(&values);
            assert_eq!(dequantized_q4(&back), back);
        }
    }

    /// No weight is further from its value than half a step, and a little for the rounding of scales and clipping.
    #[test]
    fn errors_are_at_most_about_half_a_step() {
        let mut rng = Rng::new(14);
        for _ in 0..500 {
            let values: [f32; Q8_GROUP] = std::array::from_fn(|_| rng.value() - 0.3);
            let steps = |back: f32, value: f32, step: f32| (back - value).abs() / step;
            let worst = dequantized_q8(&values).into_iter().zip(values).map(|(a, b)| steps(a, b, 1.3 / 127.0));
            assert!(worst.fold(0.0, f32::max) < 1.01);
            let values: [f32; Q4_GROUP] = std::array::from_fn(|index| values[index]);
            let worst = dequantized_q4(&values).into_iter().zip(values).map(|(a, b)| steps(a, b, 2.0 / 15.0));
            assert!(worst.fold(0.0, f32::max) < 1.2);
        }
    }

    /// Weights that are already on a grid of 16 values stay there, to the precision of bf16.
    #[test]
    fn four_bits_keep_weights_that_have_four_bits() {
        let mut rng = Rng::new(15);
        for _ in 0..200 {
            let (scale, minimum) = (0.01 + rng.value().abs(), -4.0 * rng.value().abs());
            let code = |index: usize, code: usize| if index < 2 { 15 * index } else { code };
            let values: [f32; Q4_GROUP] =
                std::array::from_fn(|index| code(index, rng.below(16)) as f32 * scale + minimum);
            for (back, value) in dequantized_q4(&values).into_iter().zip(values) {
                assert!((back - value).abs() <= 0.005 * (minimum.abs() + 15.0 * scale), "{back} {value}");
            }
        }
    }

    /// Weights that were quantized with fewer than 16 of the codes keep them.
    #[test]
    fn four_bits_keep_the_codes_of_quantized_weights() {
        let mut rng = Rng::new(16);
        for _ in 0..500 {
            let (scale, last) = ((0.01 + rng.value().abs()) * 0.1, 8 + rng.below(8));
            let minimum = -8.0 * scale;
            // With neighboring codes, no coarser grid has the same values.
            let code = |index: usize, code: usize| [0, last, 1].get(index).copied().unwrap_or(code);
            let wanted: [usize; Q4_GROUP] = std::array::from_fn(|index| code(index, rng.below(last + 1)));
            let (_, kept) = quantize_q4(&wanted.map(|code| code as f32 * scale + minimum));
            assert_eq!(codes(kept).map(usize::from), wanted);
        }
    }

    #[test]
    fn nearest_is_round_ties_even() {
        let mut rng = Rng::new(13);
        let some = (0..10_000).map(|_| rng.value() * 300.0);
        for value in some.chain((-600..600).map(|halves| halves as f32 / 2.0)) {
            assert_eq!(nearest(value), value.round_ties_even());
        }
        assert!(nearest(f32::NAN).is_nan());
    }

    #[test]
    fn groups_of_zeros_and_with_non_finite_weights_become_zeros() {
        assert_eq!(quantize_q8(&[0.0; Q8_GROUP]), (0, [0; Q8_GROUP]));
        assert_eq!(quantize_q4(&[0.0; Q4_GROUP]), ([0, 0], [0; Q4_GROUP / 2]));
        let mut values = [1.0; Q8_GROUP];
        values[5] = f32::NAN;
        assert_eq!(quantize_q8(&values), (half::round(f32::INFINITY), [0; Q8_GROUP]));
        let mut values = [1.0; Q4_GROUP];
        values[5] = f32::NEG_INFINITY;
        assert_eq!(quantize_q4(&values), ([half::round(f32::INFINITY), 0], [0; Q4_GROUP / 2]));
    }
}
