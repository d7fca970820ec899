//! Rounding and quantization of rows of activations.

use super::half;
use super::isa::{one_by_one, vectorized};
use super::matrix::Element;
use ::half::bf16;

/// f32 values per step of the loops.
const LANES: usize = 16;

/// Adding 1.5 * 2^23 rounds to an integer, which the lowest bits then hold.
const ROUND: f32 = 12_582_912.0;

vectorized! {
    /// Rounds to bf16.
    pub(super) fn narrow(values: &[f32], out: &mut [u16]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = half::round(*value);
        }
    }
}

vectorized! {
    /// Converts bf16 to f32.
    pub(super) fn widen(values: &[bf16], out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = value.wide();
        }
    }
}

vectorized! {
    /// Quantizes the values of each group to integers from -127 to 127, with a scale per group; offsets are the sums of
    /// the integers, multiplied by `factor`. A group with a NaN or infinity becomes zeros with a scale of NaN, so that
    /// all products of the row are NaN.
    pub(super) fn quantize(values: &[f32], out: &mut [i8], scales: &mut [f32], offsets: &mut [i32], factor: i32) {
        let group = values.len() / scales.len().max(1);
        let groups = values.chunks_exact(group.max(1)).zip(out.chunks_exact_mut(group.max(1)));
        for (((values, out), scale), offset) in groups.zip(scales).zip(offsets) {
            let (values, out) = (values.as_chunks::<LANES>().0, out.as_chunks_mut::<LANES>().0);
            let largest = largest_magnitude(values);
            let inverse = 127.0 / largest;
            if !inverse.is_finite() {
                out.as_flattened_mut().fill(0);
                (*scale, *offset) = (if largest.is_nan() { f32::NAN } else { 0.0 }, 0);
                continue;
            }
            let mut sums = [0_i32; LANES];
            for (out, values) in out.iter_mut().zip(values) {
                let values = one_by_one(values);
                for lane in 0..LANES {
                    let code = (values[lane] * inverse + ROUND).to_bits() as i8;
                    out[lane] = code;
                    sums[lane] += i32::from(code);
                }
            }
            let sum: i32 = sums.iter().sum();
            (*scale, *offset) = (largest / 127.0, factor * sum);
        }
    }
}

vectorized! {
    /// Quantizes values to 16-bit integers `256 * upper + lower` of 8 bits each, with one scale for the whole row.
    /// Scales and offsets are those of the upper row's groups, then those of the lower row's, as in [`quantize`]. A row
    /// with a NaN or infinity becomes zeros with a scale of NaN.
    pub(super) fn quantize_high(
        values: &[f32],
        out: [&mut [i8]; 2],
        scales: &mut [f32],
        offsets: &mut [i32],
        factor: i32,
    ) {
        // The largest 16-bit integer whose parts are at most 127.
        const LARGEST: f32 = (127 * 256 + 127) as f32;
        let largest = largest_magnitude(values.as_chunks().0);
        let groups = scales.len() / 2;
        let (upper_scales, lower_scales) = scales.split_at_mut(groups);
        let (upper_offsets, lower_offsets) = offsets.split_at_mut(groups);
        let [upper, lower] = out;
        let inverse = LARGEST / largest;
        if !inverse.is_finite() {
            upper.fill(0);
            lower.fill(0);
            upper_scales.fill(if largest.is_nan() { f32::NAN } else { 0.0 });
            lower_scales.fill(0.0);
            upper_offsets.fill(0);
            lower_offsets.fill(0);
            return;
        }
        let scale = largest / LARGEST;
        upper_scales.fill(256.0 * scale);
        lower_scales.fill(scale);
        let group = (values.len() / groups.max(1)).max(1);
        let parts = upper.chunks_exact_mut(group).zip(lower.chunks_exact_mut(group)).zip(values.chunks_exact(group));
        for (((upper, lower), values), offsets) in parts.zip(upper_offsets.iter_mut().zip(lower_offsets)) {
            let mut sums = [[0_i32; LANES]; 2];
            let chunks = upper.as_chunks_mut::<LANES>().0.iter_mut().zip(lower.as_chunks_mut::<LANES>().0);
            for ((upper, lower), values) in chunks.zip(values.as_chunks::<LANES>().0) {
                let values = one_by_one(values);
                for lane in 0..LANES {
                    let code = (values[lane] * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
                    let high = (code + 128) >> 8;
                    let low = code - (high << 8);
                    (upper[lane], lower[lane]) = (high as i8, low as i8);
                    sums[0][lane] += high;
                    sums[1][lane] += low;
                }
            }
            let [upper, lower] = [sums[0].iter().sum::<i32>(), sums[1].iter().sum::<i32>()];
            (*offsets.0, *offsets.1) = (factor * upper, factor * lower);
        }
    }
}

/// The largest absolute value; NaN if any value is not finite.
#[inline(always)]
fn largest_magnitude(values: &[[f32; LANES]]) -> f32 {
    let mut lane_max = [0.0_f32; LANES];
    // Zeros for finite values, NaN for NaN and infinity.
    let mut non_finite = [0.0_f32; LANES];
    for values in values {
        let values = one_by_one(values);
        for lane in 0..LANES {
            let size = values[lane].abs();
            lane_max[lane] = if size > lane_max[lane] { size } else { lane_max[lane] };
            non_finite[lane] += values[lane] * 0.0;
        }
    }
    let (mut largest, mut invalid) = (0.0_f32, 0.0_f32);
    for lane in 0..LANES {
        largest = if lane_max[lane] > largest { lane_max[lane] } else { largest };
        invalid += non_finite[lane];
    }
    largest + invalid
}
