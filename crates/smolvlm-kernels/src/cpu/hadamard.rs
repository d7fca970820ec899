//! Hadamard transforms of groups of values, which spread a few large values over the group so that 8 bits represent it
//! well (as in QuaRot, Ashkboos et al. 2024, arXiv 2404.00456, within groups).
//!
//! The normalized Hadamard matrix `H` is symmetric and its own inverse: `(x H) (W H)^T = x W^T`.

use super::isa::{one_by_one, vectorized};
use super::micro::kernels;
use crate::Q8_GROUP;

/// f32 values per vector.
const LANES: usize = 16;

/// Multiplies each whole group of 64 values by the normalized Hadamard matrix of that size. Values after the last whole
/// group stay as they are.
pub fn hadamard(values: &mut [f32]) {
    (kernels().hadamard)(values);
}

vectorized! {
    pub(crate) fn plain(values: &mut [f32]) {
        for group in values.as_chunks_mut::<Q8_GROUP>().0 {
            for vector in group.as_chunks_mut::<LANES>().0 {
                let vector = one_by_one(vector);
                butterfly::<1>(vector);
                butterfly::<2>(vector);
                butterfly::<4>(vector);
                butterfly::<8>(vector);
            }
            let (left, right) = group.split_at_mut(Q8_GROUP / 2);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
            for half in group.as_chunks_mut::<{ Q8_GROUP / 2 }>().0 {
                let (left, right) = half.split_at_mut(LANES);
                for (left, right) in left.iter_mut().zip(right) {
                    // 1/8 is the square root of 1/64, and exact.
                    (*left, *right) = ((*left + *right) * 0.125, (*left - *right) * 0.125);
                }
            }
        }
    }
}

/// Replaces values that are `STEP` apart by their sum and their difference.
#[inline(always)]
fn butterfly<const STEP: usize>(values: &mut [f32; LANES]) {
    let mut partners = [0.0; LANES];
    for lane in 0..LANES {
        partners[lane] = values[lane ^ STEP];
    }
    for lane in 0..LANES {
        values[lane] = if lane & STEP == 0 { partners[lane] + values[lane] } else { partners[lane] - values[lane] };
    }
}

#[cfg(test)]
mod tests {
    use super::{hadamard, plain};
    use crate::Q8_GROUP;
    use crate::cpu::tests::Rng;

    #[test]
    fn groups_are_multiplied_by_the_hadamard_matrix() {
        let mut rng = Rng::new(21);
        let values = rng.values(2 * Q8_GROUP);
        let mut found = values.clone();
        hadamard(&mut found);
        for (index, found) in found.iter().enumerate() {
            let (group, row) = (index / Q8_GROUP, index % Q8_GROUP);
            let sign = |column: usize| if (row & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
            let wanted: f64 =
                (0..Q8_GROUP).map(|column| sign(column) * f64::from(values[group * Q8_GROUP + column]) / 8.0).sum();
            assert!((f64::from(*found) - wanted).abs() < 1e-6, "{found} {wanted}");
        }
    }

    #[test]
    fn kernels_give_the_same_values() {
        for len in [0, 10, 64, 200] {
            let values = Rng::new(23).values(len);
            let (mut wanted, mut found) = (values.clone(), values);
            plain(&mut wanted);
            hadamard(&mut found);
            assert_eq!(found, wanted, "{len} values");
        }
    }

    #[test]
    fn the_transform_is_its_own_inverse() {
        let values = Rng::new(22).values(3 * Q8_GROUP);
        let mut twice = values.clone();
        hadamard(&mut twice);
        hadamard(&mut twice);
        assert!(twice.iter().zip(&values).all(|(found, wanted)| (found - wanted).abs() < 1e-6));
    }

    #[test]
    fn a_large_value_is_spread_over_its_group() {
        let mut values = vec![0.0; Q8_GROUP];
        values[37] = 8.0;
        hadamard(&mut values);
        assert!(values.iter().all(|value| value.abs() == 1.0));
    }
}
