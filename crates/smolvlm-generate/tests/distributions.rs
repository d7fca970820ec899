//! Statistical tests that sampled tokens follow the probabilities. Seeds are fixed, so results are deterministic.

use smolvlm_generate::{Sampler, SamplingParams};

const ROW: [f32; 8] = [2.0, 1.0, 0.5, -1.0, 3.0, 0.0, -2.0, 2.5];
const DRAWS: u32 = 100_000;

/// The 0.999 quantile of the chi-squared distribution (Wilson-Hilferty approximation).
fn critical(degrees: usize) -> f64 {
    let spread = 2.0 / (9.0 * degrees as f64);
    degrees as f64 * (1.0 - spread + 3.0902 * spread.sqrt()).powi(3)
}

/// Samples from a row of which the parameters keep only `kept`, and compares the counts with its softmax.
fn check(params: &SamplingParams, row: &[f32], kept: &[usize]) {
    let temperature = f64::from(params.temperature);
    let weight = |token: usize| (f64::from(row[token]) / temperature).exp();
    let total: f64 = kept.iter().map(|&token| weight(token)).sum();
    for stream in 0..2 {
        let mut sampler = Sampler::new(&params.clone().seed(11), stream);
        let mut counts = vec![0_u32; row.len()];
        for _ in 0..DRAWS {
            counts[sampler.sample(&[0], 1, &mut row.to_vec()).unwrap().token as usize] += 1;
        }
        let mut chi_square = 0.0;
        for (token, &count) in counts.iter().enumerate() {
            if kept.contains(&token) {
                let expected = f64::from(DRAWS) * weight(token) / total;
                chi_square += (f64::from(count) - expected).powi(2) / expected;
            } else {
                assert_eq!(count, 0, "token {token} was masked");
            }
        }
        let critical = critical(kept.len() - 1);
        assert!(chi_square < critical, "{chi_square} is above {critical}, stream {stream}: {counts:?}");
    }
}

fn sampling() -> SamplingParams {
    SamplingParams::sampling().top_k(0)
}

const ALL: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

#[test]
fn critical_values_match_the_tables() {
    for (degrees, value) in [(1, 10.83), (3, 16.27), (7, 24.32), (99, 148.23)] {
        assert!((critical(degrees) / value - 1.0).abs() < 0.04, "{degrees}: {}", critical(degrees));
    }
}

#[test]
fn plain() {
    check(&sampling(), &ROW, &ALL);
    let wide: Vec<f32> = (0..100_u16).map(|token| f32::from(token * 37 % 100) / 40.0).collect();
    check(&sampling(), &wide, &(0..100).collect::<Vec<_>>());
}

#[test]
fn temperature() {
    check(&sampling().temperature(0.7), &ROW, &ALL);
    check(&sampling().temperature(1.8), &ROW, &ALL);
}

#[test]
fn top_k() {
    check(&sampling().top_k(3), &ROW, &[0, 4, 7]);
    check(&sampling().top_k(2), &[1.0, 1.0, 1.0, 0.0], &[0, 1, 2]);
}

#[test]
fn top_p() {
    check(&sampling().top_p(0.9), &ROW, &[0, 1, 4, 7]);
    check(&sampling().top_p(0.5), &ROW, &[4, 7]);
}

#[test]
fn min_p() {
    check(&sampling().min_p(0.05), &ROW, &[0, 1, 2, 4, 7]);
}

#[test]
fn typical_p() {
    check(&sampling().typical_p(0.5), &ROW, &[0, 4, 7]);
}

#[test]
fn several_together() {
    check(&sampling().temperature(1.5).top_k(4).top_p(0.8), &ROW, &[0, 4, 7]);
}
