//! Softmax, activations, norms and quantization of rows.

use super::Rng;
use crate::Activation;
use crate::PackedFormat;
use crate::cpu::softmax::{plain, softmax};
use crate::cpu::{Element, PackedLhs, PackedMatrix, Pool, Precision, layer_norm, rms_norm, rotate};
use half::bf16;

fn check_softmax<E: Element>(scores: &[f32], tolerance: f64) {
    let scale = 0.3;
    for function in [softmax::<E>, plain::<E>] {
        let mut weights = vec![E::ZERO; scores.len()];
        let stats = function(scores, scale, &mut weights);
        let largest = scores.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let wanted: Vec<f64> =
            scores.iter().map(|score| (f64::from(score - largest) * f64::from(scale)).exp2()).collect();
        let sum: f64 = wanted.iter().sum();
        assert_eq!(stats.largest, largest);
        assert!((f64::from(stats.sum) / sum - 1.0).abs() < 1e-5, "{stats:?}, a sum of {sum}");
        for (found, wanted) in weights.iter().zip(&wanted) {
            assert!((f64::from(found.wide()) - wanted).abs() <= tolerance * wanted + 1e-37, "{found:?}, not {wanted}");
        }
    }
}

#[test]
fn softmax_is_accurate_for_every_length() {
    let mut rng = Rng::new(4);
    for len in (1..100).chain([1000, 1024]) {
        let scores: Vec<f32> = (0..len).map(|_| 200.0 * rng.value()).collect();
        check_softmax::<f32>(&scores, 1e-5);
        check_softmax::<bf16>(&scores, 0.004);
        let hidden: Vec<f32> =
            scores.iter().enumerate().map(|(i, s)| if i % 3 == 1 { f32::NEG_INFINITY } else { *s }).collect();
        check_softmax::<f32>(&hidden, 1e-5);
    }
}

#[test]
fn nan_score_makes_the_sum_nan() {
    for len in [1, 5, 40] {
        for place in [0, len / 2, len - 1] {
            let mut scores = vec![1.0; len];
            scores[place] = f32::NAN;
            for function in [softmax::<f32>, plain::<f32>] {
                assert!(function(&scores, 1.0, &mut vec![0.0; len]).sum.is_nan());
            }
            assert!(softmax::<bf16>(&scores, 1.0, &mut vec![bf16::ZERO; len]).sum.is_nan());
        }
    }
}

#[test]
fn activations_are_accurate_for_all_lengths_and_magnitudes() {
    type Function = fn(f64) -> f64;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let _: fn(f64) -> f64 = sigmoid;
    let functions: [(Activation, Function); 3] = [
        (Activation::GeluTanh, |z| {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (z + 0.044715 * z * z * z);
            0.5 * z * (1.0 + u.tanh())
        }),
        (Activation::Silu, |z| z / (1.0 + (-z).exp())),
        (Activation::Relu, |z| z.max(0.0)),
    ];
    let mut rng = Rng::new(5);
    let extremes = [0.0, -0.0, 1e-40, -1e-40, 50.0, -50.0, 88.0, -88.0, 1e4, -1e4, 1e18, -1e18, 3e38, -3e38];
    for len in (0..70).chain([384]) {
        let mut values: Vec<f32> = (0..len).map(|_| 6.0 * rng.value()).collect();
        values.iter_mut().zip(extremes).for_each(|(value, extreme)| *value = extreme);
        for (activation, function) in functions {
            let mut found = values.clone();
            activation.apply(&mut found);
            for (found, z) in found.iter().zip(&values) {
                let wanted = function(f64::from(*z));
                assert!(
                    (f64::from(*found) - wanted).abs() <= 1e-6 * wanted.abs() + 1e-6,
                    "{activation:?} of {z}: {found}"
                );
            }
        }
    }
    for (activation, _) in &functions[..2] {
        let mut values = vec![f32::NAN; 19];
        activation.apply(&mut values);
        assert!(values.iter().all(|value| value.is_nan()));
    }
}

#[test]
fn exact_gelu_matches_torch() {
    // Computed with torch 2.15.0, gelu.
    let mut values = [-3.0, -0.5, 0.0, 0.7, 4.0];
    Activation::Gelu.apply(&mut values);
    for (found, wanted) in values.iter().zip([-0.004_049_69_f32, -0.154_268_77, 0.0, 0.530_625_4, 3.999_873_4]) {
        assert!((found - wanted).abs() < 1e-6, "{found} instead of {wanted}");
    }
}

#[test]
fn norms_are_accurate_for_every_length() {
    let mut rng = Rng::new(6);
    for len in (1..70).chain([576, 769]) {
        let [x, weight, bias] = [0; 3].map(|_| rng.values(len));
        let wide: Vec<f64> = x.iter().map(|value| f64::from(*value)).collect();
        let mean = wide.iter().sum::<f64>() / len as f64;
        let check = |found: &[f32], mean: f64, bias: &dyn Fn(usize) -> f64| {
            let square = wide.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / len as f64;
            for (i, found) in found.iter().enumerate() {
                let wanted = (wide[i] - mean) / (square + 1e-3).sqrt() * f64::from(weight[i]) + bias(i);
                assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found} instead of {wanted}");
            }
        };
        let mut found = vec![0.0; len];
        layer_norm(&x, &weight, &bias, 1e-3, &mut found);
        check(&found, mean, &|i| f64::from(bias[i]));
        rms_norm(&x, &weight, 1e-3, &mut found);
        check(&found, 0.0, &|_| 0.0);
    }
}

#[test]
fn rotation_pairs_the_halves_of_a_head() {
    let mut head = [0.5, -1.0, 2.0, 0.25];
    rotate(&mut head, &[0.6, 0.8], &[0.8, 0.6]);
    let wanted = [0.5 * 0.6 - 2.0 * 0.8, -0.8 - 0.25 * 0.6, 2.0 * 0.6 + 0.5 * 0.8, 0.25 * 0.8 - 0.6];
    for (found, wanted) in head.iter().zip(wanted) {
        assert!((found - wanted).abs() < 1e-6_f32);
    }
}

#[test]
fn non_finite_row_gives_non_finite_results_and_leaves_other_rows_intact() {
    let pool = Pool::new(1).unwrap();
    let ones = |_: usize, out: &mut [f32]| -> Result<(), ()> {
        out.fill(1.0);
        Ok(())
    };
    for format in [PackedFormat::Q8, PackedFormat::Q4] {
        let matrix = PackedMatrix::pack(3, 40, format, ones).unwrap();
        let fast_and_high = [Precision::Fast, Precision::High];
        for (non_finite, precision) in
            [f32::NAN, f32::INFINITY].into_iter().flat_map(|value| fast_and_high.map(|p| (value, p)))
        {
            let mut x = PackedLhs::new(format);
            x.set_precision([(3, precision)]);
            x.fill(&pool, 3, 40, |row, out| {
                out.fill(row as f32);
                if row == 1 {
                    out[37] = non_finite;
                }
            });
            let mut out = crate::cpu::Matrix::new();
            out.resize(3, 3);
            crate::cpu::matmuls(&pool, &x, [(&matrix, crate::cpu::Epilogue::store(&mut out))]);
            assert_eq!(out.row(0), [0.0; 3], "a row of zeros");
            assert!(out.row(1).iter().all(|value: &f32| !value.is_finite()));
            assert!(out.row(2).iter().all(|value| (value - 80.0_f32).abs() < 0.5), "{:?}", out.row(2));
        }
    }
}
