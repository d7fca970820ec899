//! Activations packed as the left-hand operand of a matrix product.

use super::aligned_buf::AlignedBuf;
use super::epilogue::Epilogue;
use super::half;
use super::isa::vectorized;
use super::matrix::{Element, Matrix};
use super::micro::{Operand, QuantParams, tile_rows};
use super::pool::Pool;
use super::shared_slice::SharedSlice;
use crate::{GROUP, PackedFormat};
use ::half::bf16;

/// Rows per task.
const ROWS_PER_TASK: usize = 16;

/// A matrix of activations, one row per token, packed as the left-hand operand of a product with a
/// [`PackedMatrix`](super::PackedMatrix) of the same format.
#[derive(Debug)]
pub struct PackedLhs {
    format: PackedFormat,
    rows: usize,
    columns: usize,
    stride: usize,
    words: AlignedBuf,
    scale: Vec<f32>,
    zero: Vec<i32>,
    staged: Matrix<bf16>,
}

impl PackedLhs {
    /// Creates an empty matrix.
    pub fn new(format: PackedFormat) -> Self {
        Self {
            format,
            rows: 0,
            columns: 0,
            stride: 0,
            words: AlignedBuf::default(),
            scale: Vec::new(),
            zero: Vec::new(),
            staged: Matrix::new(),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// PackedFormat of the matrices that it can be multiplied with.
    pub fn format(&self) -> PackedFormat {
        self.format
    }

    /// Sets the shape and packs the rows that `fill` writes, in parallel.
    pub fn fill(&mut self, pool: &Pool, rows: usize, columns: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
        let steps = self.format.steps(columns);
        self.set_shape(rows, columns, stride(steps));
        let (format, stride, groups) = (self.format, self.stride, self.zeros());
        let words = SharedSlice::new(self.words.values_mut::<u32>());
        let (scale, zero) = (SharedSlice::new(&mut self.scale), SharedSlice::new(&mut self.zero));
        let width = steps * format.step();
        pool.run(rows.div_ceil(ROWS_PER_TASK), |task| {
            let mut values = vec![0.0; width];
            for row in task * ROWS_PER_TASK..rows.min((task + 1) * ROWS_PER_TASK) {
                fill(row, &mut values[..columns]);
                #[expect(unsafe_code, reason = "each row belongs to one task")]
                // SAFETY: each row is accessed by one task, and rows do not overlap.
                let (words, scale, zero) =
                    unsafe { (words.part(row * stride, steps), scale.part(row, 1), zero.part(row * groups, groups)) };
                match format {
                    PackedFormat::F32 => words.copy_from_slice(bytemuck::cast_slice(&values)),
                    PackedFormat::Bf16 => narrow(&values, bytemuck::cast_slice_mut(words)),
                    PackedFormat::Q8 | PackedFormat::Q4 => {
                        scale[0] = quantize(&values, bytemuck::cast_slice_mut(words));
                        zeros(format, bytemuck::cast_slice(words), zero);
                    }
                }
            }
        });
    }

    /// Sets the shape and returns the output for a product or attention to write the rows to. Call
    /// [`finish_write`](Self::finish_write) afterwards; until then, rows to be quantized to 8 bits are staged in bf16.
    pub fn begin_write(&mut self, rows: usize, columns: usize) -> Epilogue<'_> {
        match self.format {
            PackedFormat::F32 => {
                self.set_shape(rows, columns, stride(columns));
                Epilogue::to_words::<f32>(self.words.values_mut(), [rows, columns], self.stride)
            }
            PackedFormat::Bf16 => {
                let steps = self.format.steps(columns);
                self.set_shape(rows, columns, stride(steps));
                if columns % 2 == 1 {
                    let (words, stride) = (self.words.values_mut::<u32>(), self.stride);
                    (0..rows).for_each(|row| words[row * stride + steps - 1] = 0);
                }
                let stride = 2 * self.stride;
                Epilogue::to_words::<bf16>(self.words.values_mut(), [rows, columns], stride)
            }
            PackedFormat::Q8 | PackedFormat::Q4 => {
                self.staged.resize(rows, columns);
                Epilogue::store(&mut self.staged)
            }
        }
    }

    /// Completes a write that [`begin_write`](Self::begin_write) started: quantizes staged rows.
    pub fn finish_write(&mut self, pool: &Pool) {
        if matches!(self.format, PackedFormat::Q8 | PackedFormat::Q4) {
            let staged = std::mem::take(&mut self.staged);
            self.fill(pool, staged.rows(), staged.columns(), |row, values| widen(staged.row(row), values));
            self.staged = staged;
        }
    }

    /// Entries of `zero` per row.
    fn zeros(&self) -> usize {
        match self.format {
            PackedFormat::F32 | PackedFormat::Bf16 => 0,
            PackedFormat::Q8 => 1,
            PackedFormat::Q4 => self.columns.div_ceil(GROUP),
        }
    }

    fn set_shape(&mut self, rows: usize, columns: usize, stride: usize) {
        (self.rows, self.columns, self.stride) = (rows, columns, stride);
        self.words.grow(rows * stride);
        let groups = self.zeros();
        self.scale.resize(rows, 0.0);
        self.zero.resize(rows * groups, 0);
    }

    /// The rows `first..end`, at most [`tile_rows`] of them, as an operand of the microkernels.
    pub(crate) fn operand(&self, first: usize, end: usize) -> (Operand<'_>, QuantParams<'_>) {
        let rows = tile_rows().min(end - first);
        let operand = Operand { words: &self.words.values()[first * self.stride..], stride: self.stride, rows };
        let quantized = match self.format {
            PackedFormat::F32 | PackedFormat::Bf16 => QuantParams { scale: &[], zero: &[] },
            PackedFormat::Q8 | PackedFormat::Q4 => {
                QuantParams { scale: &self.scale[first..], zero: &self.zero[first * self.zeros()..] }
            }
        };
        (operand, quantized)
    }

    /// Bytes per row, for the choice of a block size that fits the cache.
    pub(crate) fn row_bytes(&self) -> usize {
        4 * self.stride
    }
}

/// Row stride in words: an odd number of whole cache lines, which avoids cache set conflicts between the rows of a
/// tile.
fn stride(steps: usize) -> usize {
    (steps.div_ceil(16) | 1) * 16
}

vectorized! {
    /// Rounds to bf16.
    fn narrow(values: &[f32], out: &mut [u16]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = half::round(*value);
        }
    }
}

vectorized! {
    /// Converts bf16 to f32.
    fn widen(values: &[bf16], out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = value.wide();
        }
    }
}

vectorized! {
    /// Quantizes values to integers from -127 to 127 and returns the scale. A row with a NaN or infinity becomes zeros
    /// with a scale of NaN, so that all its products are NaN.
    fn quantize(values: &[f32], out: &mut [i8]) -> f32 {
        const LANES: usize = 16;
        // Adding 1.5 * 2^23 rounds to an integer, which the lowest bits then hold.
        const ROUND: f32 = 12_582_912.0;
        let mut lane_max = [0.0_f32; LANES];
        let mut non_finite_lanes = [0.0_f32; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                let size = chunk[lane].abs();
                lane_max[lane] = if size > lane_max[lane] { size } else { lane_max[lane] };
                // Zero for finite values, NaN for NaN and infinity.
                non_finite_lanes[lane] += chunk[lane] * 0.0;
            }
        }
        let mut largest = lane_max.iter().fold(0.0_f32, |a, b| a.max(*b));
        let mut non_finite = non_finite_lanes.iter().any(|lane| lane.is_nan());
        for value in rest {
            largest = largest.max(value.abs());
            non_finite |= !value.is_finite();
        }
        let scale = largest / 127.0;
        let inverse = 1.0 / scale;
        if non_finite || !inverse.is_finite() {
            out.fill(0);
            return if non_finite { f32::NAN } else { 0.0 };
        }
        for (out, value) in out.iter_mut().zip(values) {
            *out = (value * inverse + ROUND).to_bits() as i8;
        }
        scale
    }
}

/// Computes the zero-point corrections: the negated contribution of the offset of unsigned weights to every sum.
fn zeros(format: PackedFormat, values: &[i8], zero: &mut [i32]) {
    let sum = |values: &[i8]| values.iter().map(|&value| i32::from(value)).sum::<i32>();
    match format {
        PackedFormat::Q4 => {
            for (zero, values) in zero.iter_mut().zip(values.chunks_exact(GROUP)) {
                *zero = -8 * sum(values);
            }
        }
        _ => zero[0] = -128 * sum(values),
    }
}
