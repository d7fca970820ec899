//! Muon: momentum updates orthogonalized by Newton-Schulz iterations, so that all singular directions of the gradient
//! get about the same step size (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon/>). Directions that
//! occur in few samples are learned sooner than with AdamW.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// Momentum: weight of the previous mean.
const MOMENTUM: f32 = 0.95;
/// Number of Newton-Schulz iterations, and the polynomial of each: coefficients of x, x^3 and x^5.
const ITERATIONS: usize = 5;
const POLYNOMIAL: [f32; 3] = [3.4445, -4.7750, 2.0315];
/// Root mean square of a step at learning rate 1. It matches AdamW's usual value, so that learning rate and weight
/// decay carry over (Liu et al. 2025, arXiv 2502.16982).
const STEP: f32 = 0.2;

/// Updates the running mean with a gradient multiplied by `scale`, and returns the step to subtract at learning rate 1,
/// for a matrix of `rows` outputs.
pub(crate) fn step(gradient: &[f32], scale: f32, mean: &mut [f32], rows: usize) -> Vec<f32> {
    let blend = |a: f32, b: f32| a + MOMENTUM * (b - a);
    let ahead = gradient.iter().zip(mean).map(|(gradient, mean)| {
        let gradient = gradient * scale;
        *mean = blend(gradient, *mean);
        // Nesterov momentum.
        blend(gradient, *mean)
    });
    let columns = gradient.len() / rows.max(1);
    let size = STEP * (rows.max(columns) as f32).sqrt();
    let mut step = orthogonal(ahead.collect(), [rows, columns]);
    step.iter_mut().for_each(|value| *value *= size);
    step
}

/// Approximates the nearest orthogonal matrix: its singular values are between 0.7 and 1.2, unless those of the input
/// are tiny.
fn orthogonal(values: Vec<f32>, [rows, columns]: [usize; 2]) -> Vec<f32> {
    let norm = values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if norm == 0.0 || !norm.is_finite() {
        return vec![0.0; values.len()];
    }
    let x = Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), (&Device::flex(), DType::F32));
    // The Gram matrix of a wide matrix is the smaller one.
    let tall = rows > columns;
    let mut x = (if tall { x.transpose() } else { x }).div_scalar(norm);
    for _ in 0..ITERATIONS {
        let square = x.clone().matmul(x.clone().transpose());
        let fourth = square.clone().matmul(square.clone());
        let rest = square.mul_scalar(POLYNOMIAL[1]).add(fourth.mul_scalar(POLYNOMIAL[2]));
        x = x.clone().mul_scalar(POLYNOMIAL[0]).add(rest.matmul(x));
    }
    let x = if tall { x.transpose() } else { x };
    x.into_data().try_to_vec::<f32>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{orthogonal, step};
    use crate::random::Random;

    fn noise(len: usize) -> Vec<f32> {
        let mut random = Random::new(1, 0);
        (0..len.div_ceil(2)).flat_map(|_| random.normal_pair()).take(len).collect()
    }

    #[test]
    fn rows_become_nearly_orthogonal() {
        for [rows, columns] in [[8, 40], [40, 8], [16, 16]] {
            let found = orthogonal(noise(rows * columns), [rows, columns]);
            let (short, at) =
                (
                    rows.min(columns),
                    |i: usize, k: usize| {
                        if rows <= columns { found[i * columns + k] } else { found[k * columns + i] }
                    },
                );
            let dot = |a: usize, b: usize| (0..rows.max(columns)).map(|k| at(a, k) * at(b, k)).sum::<f32>();
            let trace: f32 = (0..short).map(|i| dot(i, i)).sum();
            assert!((0.6..1.35).contains(&(trace / short as f32)), "{rows} x {columns}: {trace}");
            if rows != columns {
                assert!((0..short).all(|a| (0..a).all(|b| dot(a, b).abs() < 0.3)), "{rows} x {columns}");
            }
        }
    }

    #[test]
    fn step_does_not_depend_on_the_gradient_scale() {
        let gradient = noise(6 * 10);
        let (mut small, mut large) = (vec![0.0; 60], vec![0.0; 60]);
        let (a, b) = (step(&gradient, 1e-3, &mut small, 6), step(&gradient, 1e3, &mut large, 6));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3), "{a:?} {b:?}");
        let square = a.iter().map(|value| value * value).sum::<f32>() / 60.0;
        assert!((0.1..0.3).contains(&square.sqrt()), "{square}");
        assert_eq!(step(&[0.0; 60], 1.0, &mut vec![0.0; 60], 6), [0.0; 60]);
    }
}
