//! Weights of the resampling filters for 8-bit images, bit-exact with torch.

use crate::Error;
use smolvlm_config::Resample;
use std::f64::consts::PI;
use std::ops::Range;

/// A resampling filter: its support and its function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter {
    support: f64,
    shape: fn(f64) -> f64,
}

impl Filter {
    /// The filter of a configuration; `None` for nearest neighbor.
    pub(crate) fn new(resample: Resample) -> Result<Option<Self>, Error> {
        match resample {
            Resample::Lanczos => Ok(Some(Self { support: 3.0, shape: lanczos })),
            Resample::Bicubic => Ok(Some(Self { support: 2.0, shape: cubic })),
            Resample::Bilinear => Ok(Some(Self { support: 1.0, shape: triangle })),
            Resample::Nearest => Ok(None),
            filter @ (Resample::Box | Resample::Hamming) => Err(Error::Resample { filter }),
        }
    }
}

/// `sinc(x) sinc(x / 3)` on `-3 <= x < 3`.
fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

/// Keys' cubic with `a = -0.5` (Keys 1981, doi 10.1109/TASSP.1981.1163711).
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Integer weights of one axis: output `i` is the sum of `weights(i)[j] * input[first(i) + j]`, shifted right by
/// `bits`.
#[derive(Debug)]
pub(crate) struct Weights {
    /// First input index and offset of the first weight, per output.
    spans: Vec<(usize, usize, usize)>,
    values: Vec<i16>,
    /// Fraction bits of the weights.
    pub(crate) bits: u32,
}

impl Weights {
    /// Computes the weights from `input` to `output` samples in f64 and rounds them to 16 bits, with as many fraction
    /// bits as the largest weight allows (torch 2.15, `aten/src/ATen/native/cpu/UpSampleKernelAVXAntialias.h`).
    pub(crate) fn new(filter: Filter, input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let stretch = scale.max(1.0);
        let support = filter.support * stretch;
        let mut spans = Vec::with_capacity(output);
        let mut exact: Vec<f64> = Vec::new();
        for index in 0..output {
            let center = (index as f64 + 0.5) * scale;
            // `as` truncates toward zero, like the reference's integer conversion.
            let low = ((center - support + 0.5) as i64).max(0) as usize;
            let high = ((center + support + 0.5) as usize).min(input);
            let start = exact.len();
            exact.extend((low..high).map(|j| (filter.shape)((j as f64 - center + 0.5) / stretch)));
            let total: f64 = exact[start..].iter().sum();
            if total != 0.0 {
                exact[start..].iter_mut().for_each(|weight| *weight /= total);
            }
            spans.push((low, start, exact.len()));
        }
        let largest = exact.iter().copied().fold(0.0, f64::max);
        let mut bits = 0;
        while bits < 22 && (0.5 + largest * f64::from(1u32 << (bits + 1))) < f64::from(1u32 << 15) {
            bits += 1;
        }
        let one = f64::from(1u32 << bits);
        let round = |weight: &f64| (weight * one + if *weight >= 0.0 { 0.5 } else { -0.5 }) as i16;
        Self { spans, values: exact.iter().map(round).collect(), bits }
    }

    /// Number of outputs.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The input range of a range of outputs.
    pub(crate) fn inputs(&self, outputs: Range<usize>) -> Range<usize> {
        let spans = &self.spans[outputs];
        let end = |&(first, start, end): &(usize, usize, usize)| first + end - start;
        spans.first().map_or(0, |span| span.0)..spans.iter().map(end).max().unwrap_or(0)
    }

    /// First input and weights of an output.
    #[inline(always)]
    pub(crate) fn of(&self, output: usize) -> (usize, &[i16]) {
        let (first, start, end) = self.spans[output];
        (first, &self.values[start..end])
    }
}
