//! Quantization of weights to 8-bit rows and 4-bit groups.

use super::half;
use crate::GROUP;

/// Quantizes a row to 8 bits and returns the scale. A row with a NaN or infinity becomes zeros with an infinite scale,
/// which makes every product NaN.
pub fn quantize_row(row: &[f32], codes: &mut [i8]) -> f32 {
    let scale = largest_magnitude(row) / 127.0;
    let inverse = safe_inverse(scale);
    for (code, value) in codes.iter_mut().zip(row) {
        *code = nearest((value * inverse).clamp(-127.0, 127.0)) as i8;
    }
    scale
}

/// The largest absolute value; infinity if any value is not finite.
fn largest_magnitude(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest: f32, value| if value.is_finite() { largest.max(value.abs()) } else { f32::INFINITY })
}

/// `1 / scale`, or 0 if that is not finite: for a row of zeros, and for one that cannot be scaled.
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

/// Candidates for the unrounded code of the largest weight of a group.
const LEVELS: [f32; 8] = [-8.0, -7.75, -7.5, -7.25, -7.0, 7.0, 7.25, 7.5];

/// Quantizes a group of weights to 4 bits; returns the bits of the bf16 scale and the codes, with 8 added. Of several
/// scales that map the largest weight to the largest codes, it takes the one with the least squared error. Quantization
/// is idempotent: quantizing the dequantized weights gives the same values.
pub fn quantize_group(values: &[f32; GROUP]) -> (u16, [u8; GROUP]) {
    let peak = values.iter().fold(0.0_f32, |peak, value| if value.abs() > peak.abs() { *value } else { peak });
    let level = |value: f32, inverse: f32| nearest((value * inverse).clamp(-8.0, 7.0));
    let tried = LEVELS.map(|levels| half::round(peak / levels));
    let scales = tried.map(half::wide);
    let inverses = scales.map(safe_inverse);
    // All scales for one value in the inner loop, so that it vectorizes.
    let mut errors = [0.0; LEVELS.len()];
    for value in values {
        for ((error, scale), inverse) in errors.iter_mut().zip(scales).zip(inverses) {
            let off = level(*value, inverse) * scale - value;
            *error += off * off;
        }
    }
    let best = (1..LEVELS.len()).fold(0, |best, next| if errors[next] < errors[best] { next } else { best });
    (tried[best], values.map(|value| (level(value, inverses[best]) as i32 + 8) as u8))
}

#[cfg(test)]
mod tests {
    use super::{half, nearest, quantize_group, quantize_row};
    use crate::GROUP;
    use crate::cpu::tests::Rng;

    /// Dequantizes a 4-bit code, given the bits of its scale.
    fn value(code: u8, scale: u16) -> f32 {
        (f32::from(code) - 8.0) * half::wide(scale)
    }

    #[test]
    fn quantization_is_idempotent() {
        let mut rng = Rng::new(12);
        for _ in 0..2000 {
            let size = 10f32.powi(rng.below(12) as i32 - 8);
            let values: [f32; GROUP] = std::array::from_fn(|_| rng.value() * rng.value() * size);
            let (scale, codes) = quantize_group(&values);
            let back = codes.map(|code| value(code, scale));
            let (again, same) = quantize_group(&back);
            assert_eq!(same.map(|code| value(code, again)), back);

            let (mut codes, mut same) = ([0; GROUP], [0; GROUP]);
            let scale = quantize_row(&values, &mut codes);
            let again = quantize_row(&codes.map(|code| f32::from(code) * scale), &mut same);
            assert_eq!(same, codes);
            assert!((again / scale - 1.0).abs() < 1e-6);
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
    fn zero_and_non_finite_rows_become_zeros() {
        assert_eq!(quantize_group(&[0.0; GROUP]).1, [8; GROUP]);
        let mut codes = [1; 3];
        assert_eq!((quantize_row(&[0.0; 3], &mut codes), codes), (0.0, [0; 3]));
        assert_eq!(quantize_row(&[1.0, f32::NAN, 2.0], &mut codes), f32::INFINITY);
        assert_eq!(codes, [0; 3]);
    }
}
