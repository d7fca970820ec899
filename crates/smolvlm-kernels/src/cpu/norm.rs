//! Layer norm and RMS norm of single rows.

use super::isa::vectorized;

const LANES: usize = 16;

vectorized! {
    /// Layer norm of a row, `(x - mean) / sqrt(var + eps) * weight + bias`.
    pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
        let count = x.len() as f32;
        let mean = sum(x, |value| value) / count;
        let variance = sum(x, |value| (value - mean) * (value - mean)) / count;
        let scale = 1.0 / (variance + eps).sqrt();
        for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = (x - mean) * scale * weight + bias;
        }
    }
}

vectorized! {
    /// RMS norm of a row, `x / sqrt(mean(x^2) + eps) * weight`.
    pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        let mean = sum(x, |value| value * value) / x.len() as f32;
        let scale = 1.0 / (mean + eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

/// A sum with one accumulator per lane, so that it vectorizes.
#[inline(always)]
fn sum(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += term(chunk[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| term(*value)).sum::<f32>()
}
