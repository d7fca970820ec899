//! Layer norm and RMS norm.

use crate::cpu::isa::vectorized;

vectorized! {
    /// Adds every row of `x` to `sums`.
    pub fn add_rows(x: &[f32], sums: &mut [f32]) {
        for row in x.chunks_exact(sums.len().max(1)) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

const LANES: usize = 16;

/// The sum of a term over two rows, with one accumulator per lane, so that it vectorizes.
#[inline(always)]
fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b)).sum::<f32>()
}

vectorized! {
    /// Gradients of the inputs of a layer norm over rows, and those of its weight, which are added to `dw`.
    pub fn layer_norm_backward(x: &[f32], dy: &[f32], weight: &[f32], eps: f32, dx: &mut [f32], dw: &mut [f32]) {
        let width = weight.len();
        let count = width as f32;
        let mut scaled = vec![0.0_f32; width];
        for ((x, dy), dx) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
            let mean = sum_of(x, x, |x, _| x) / count;
            let variance = sum_of(x, x, |x, _| (x - mean) * (x - mean)) / count;
            let scale = 1.0 / (variance + eps).sqrt();
            for ((((dx, x), dy), weight), (dw, scaled)) in
                dx.iter_mut().zip(x).zip(dy).zip(weight).zip(dw.iter_mut().zip(&mut scaled))
            {
                *dx = (x - mean) * scale;
                *dw += dy * *dx;
                *scaled = dy * weight;
            }
            let first = sum_of(&scaled, dx, |scaled, _| scaled) / count;
            let second = sum_of(&scaled, dx, |scaled, x| scaled * x) / count;
            for (dx, scaled) in dx.iter_mut().zip(&scaled) {
                *dx = (scaled - first - *dx * second) * scale;
            }
        }
    }
}

vectorized! {
    /// Gradients of the inputs of an RMS norm over rows, and those of its weight, which are added to `dw`.
    pub fn rms_norm_backward(x: &[f32], dy: &[f32], weight: &[f32], eps: f32, dx: &mut [f32], dw: &mut [f32]) {
        let width = weight.len();
        let count = width as f32;
        let mut scaled = vec![0.0_f32; width];
        for ((x, dy), dx) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
            let scale = 1.0 / (sum_of(x, x, |x, _| x * x) / count + eps).sqrt();
            for ((((dx, x), dy), weight), (dw, scaled)) in
                dx.iter_mut().zip(x).zip(dy).zip(weight).zip(dw.iter_mut().zip(&mut scaled))
            {
                *dx = x * scale;
                *dw += dy * *dx;
                *scaled = dy * weight;
            }
            let second = sum_of(&scaled, dx, |scaled, x| scaled * x) / count;
            for (dx, scaled) in dx.iter_mut().zip(&scaled) {
                *dx = (scaled - *dx * second) * scale;
            }
        }
    }
}
