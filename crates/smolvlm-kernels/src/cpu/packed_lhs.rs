//! Activations packed as the left-hand operand of a matrix product.

use super::aligned_buf::AlignedBuf;
use super::epilogue::Epilogue;
use super::half;
use super::isa::vectorized;
use super::matrix::{Element, Matrix};
use super::micro::{Operand, QuantParams, tile_rows};
use super::pool::Pool;
use super::shared_slice::SharedSlice;
use crate::PackedFormat;
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
    /// Scales and offsets of 8-bit rows: `[rows, groups]`.
    scale: Vec<f32>,
    offset: Vec<i32>,
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
            offset: Vec::new(),
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
        let (format, stride, groups) = (self.format, self.stride, self.groups());
        let words = SharedSlice::new(self.words.values_mut::<u32>());
        let (scale, offset) = (SharedSlice::new(&mut self.scale), SharedSlice::new(&mut self.offset));
        let width = steps * format.step();
        pool.run(rows.div_ceil(ROWS_PER_TASK), |task| {
            let mut values = vec![0.0; width];
            for row in task * ROWS_PER_TASK..rows.min((task + 1) * ROWS_PER_TASK) {
                fill(row, &mut values[..columns]);
                #[expect(unsafe_code, reason = "each row belongs to one task")]
                // SAFETY: each row is accessed by one task, and rows do not overlap.
                let (words, scale, offset) = unsafe {
                    (
                        words.part(row * stride, steps),
                        scale.part(row * groups, groups),
                        offset.part(row * groups, groups),
                    )
                };
                match format {
                    PackedFormat::F32 => words.copy_from_slice(bytemuck::cast_slice(&values)),
                    PackedFormat::Bf16 => narrow(&values, bytemuck::cast_slice_mut(words)),
                    PackedFormat::Q8 => quantize(&values, bytemuck::cast_slice_mut(words), scale, offset, -128),
                    PackedFormat::Q4 => quantize(&values, bytemuck::cast_slice_mut(words), scale, offset, 1),
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

    /// Scales per row.
    fn groups(&self) -> usize {
        self.format.groups(self.columns)
    }

    fn set_shape(&mut self, rows: usize, columns: usize, stride: usize) {
        (self.rows, self.columns, self.stride) = (rows, columns, stride);
        self.words.grow(rows * stride);
        let groups = self.groups();
        self.scale.resize(rows * groups, 0.0);
        self.offset.resize(rows * groups, 0);
    }

    /// The rows `first..end`, at most [`tile_rows`] of them, as an operand of the microkernels.
    pub(crate) fn operand(&self, first: usize, end: usize) -> (Operand<'_>, QuantParams<'_>) {
        let rows = tile_rows().min(end - first);
        let operand = Operand { words: &self.words.values()[first * self.stride..], stride: self.stride, rows };
        let quantized = QuantParams { scale: &self.scale, offset: &self.offset };
        (operand, quantized.from_row(first, self.groups()))
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
    /// Quantizes the values of each group to integers from -127 to 127, with a scale per group; offsets are the sums of
    /// the integers, multiplied by `factor`. A group with a NaN or infinity becomes zeros with a scale of NaN, so that
    /// all products of the row are NaN.
    fn quantize(values: &[f32], out: &mut [i8], scales: &mut [f32], offsets: &mut [i32], factor: i32) {
        const LANES: usize = 16;
        // Adding 1.5 * 2^23 rounds to an integer, which the lowest bits then hold.
        const ROUND: f32 = 12_582_912.0;
        let group = values.len() / scales.len().max(1);
        let groups = values.chunks_exact(group.max(1)).zip(out.chunks_exact_mut(group.max(1)));
        for (((values, out), scale), offset) in groups.zip(scales).zip(offsets) {
            let (values, out) = (values.as_chunks::<LANES>().0, out.as_chunks_mut::<LANES>().0);
            let mut lane_max = [0.0_f32; LANES];
            let mut non_finite = [0.0_f32; LANES];
            for values in values {
                for lane in 0..LANES {
                    let size = values[lane].abs();
                    lane_max[lane] = if size > lane_max[lane] { size } else { lane_max[lane] };
                    // Zero for finite values, NaN for NaN and infinity.
                    non_finite[lane] += values[lane] * 0.0;
                }
            }
            let mut largest = 0.0_f32;
            let mut invalid = 0.0_f32;
            for lane in 0..LANES {
                largest = if lane_max[lane] > largest { lane_max[lane] } else { largest };
                invalid += non_finite[lane];
            }
            let inverse = 127.0 / largest;
            if invalid.is_nan() || !inverse.is_finite() {
                out.as_flattened_mut().fill(0);
                (*scale, *offset) = (if invalid.is_nan() { f32::NAN } else { 0.0 }, 0);
                continue;
            }
            let mut sums = [0_i32; LANES];
            for (out, values) in out.iter_mut().zip(values) {
                for lane in 0..LANES {
                    let code = (values[lane] * inverse + ROUND).to_bits() as i8;
                    out[lane] = code;
                    sums[lane] += i32::from(code);
                }
            }
            let mut sum = 0;
            for lane in 0..LANES {
                sum += sums[lane];
            }
            (*scale, *offset) = (largest / 127.0, factor * sum);
        }
    }
}
