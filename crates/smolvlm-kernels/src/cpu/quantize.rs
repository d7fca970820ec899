//! Weights as whole numbers: which ones stand for a row, and what they stand for.

use super::half;
use crate::GROUP;

/// 8-bit codes of a row; gives what one stands for. A row with a NaN or infinity becomes zeros of an infinite scale, which
/// show as NaN in every product.
pub fn quantize_row(row: &[f32], codes: &mut [i8]) -> f32 {
    let scale = largest_magnitude(row) / 127.0;
    let inverse = safe_inverse(scale);
    for (code, value) in codes.iter_mut().zip(row) {
        *code = nearest((value * inverse).clamp(-127.0, 127.0)) as i8;
    }
    scale
}

/// The largest absolute value; that of a NaN or infinity is infinity, so that it shows.
fn largest_magnitude(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest: f32, value| if value.is_finite() { largest.max(value.abs()) } else { f32::INFINITY })
}

/// `1 / scale`; 0 for a row of nothing but zeros, and for one that cannot be scaled.
fn safe_inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// The nearest whole number, the even one of two, for values below 2^22: what stands behind the point has no place in the sum.
/// `round_ties_even` is a function call where a build may not ask for SSE4.1, and takes ten times as long.
fn nearest(value: f32) -> f32 {
    const ROUND: f32 = 1.5 * (1 << 23) as f32;
    (value + ROUND) - ROUND
}

/// Codes that the largest weight of a group may get, not yet rounded.
const LEVELS: [f32; 8] = [-8.0, -7.75, -7.5, -7.25, -7.0, 7.0, 7.25, 7.5];

/// The bits of a bf16 scale and 4-bit codes, with 8 added, for a group of weights: the scale with the least squared error
/// among some that map the largest weight to the largest codes. What it gives comes out again when it is quantized anew.
pub fn quantize_group(values: &[f32; GROUP]) -> (u16, [u8; GROUP]) {
    let peak = values.iter().fold(0.0_f32, |peak, value| if value.abs() > peak.abs() { *value } else { peak });
    let level = |value: f32, inverse: f32| nearest((value * inverse).clamp(-8.0, 7.0));
    let tried = LEVELS.map(|levels| half::round(peak / levels));
    let scales = tried.map(half::wide);
    let inverses = scales.map(safe_inverse);
    // All scales at once for a value: this way round the compiler finds vectors.
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

    /// The value of a 4-bit code and the bits of its scale.
    fn value(code: u8, scale: u16) -> f32 {
        (f32::from(code) - 8.0) * half::wide(scale)
    }

    #[test]
    fn what_was_quantized_stays_as_it_is() {
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
    fn zeros_and_sick_rows() {
        assert_eq!(quantize_group(&[0.0; GROUP]).1, [8; GROUP]);
        let mut codes = [1; 3];
        assert_eq!((quantize_row(&[0.0; 3], &mut codes), codes), (0.0, [0; 3]));
        assert_eq!(quantize_row(&[1.0, f32::NAN, 2.0], &mut codes), f32::INFINITY);
        assert_eq!(codes, [0; 3]);
    }
}
