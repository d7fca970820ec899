//! Activations packed as the left-hand operand of a matrix product.

use super::aligned_buf::AlignedBuf;
use super::epilogue::Epilogue;
use super::hadamard::hadamard;
use super::matrix::Matrix;
use super::micro::{Operand, QuantParams, bf16_activations, call_rows};
use super::pool::Pool;
use super::quantize_rows::{narrow, quantize, quantize_high, widen};
use super::shared_slice::SharedSlice;
use crate::PackedFormat;
use ::half::bf16;
use std::ops::Range;

/// Rows per task.
const ROWS_PER_TASK: usize = 16;

/// Precision of the activations of a row that are multiplied with quantized weights. It has no effect with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// The precision with the fastest products: 8 bits, or bf16 where the processor has matrix instructions for it.
    Fast,
    /// 16 bits, as two rows of 8 bits. For a few rows, whose products are bound by the memory of the weights.
    High,
}

/// A matrix of activations, one row per token, packed as the left-hand operand of a product with a
/// [`PackedMatrix`](super::PackedMatrix) of the same format.
#[derive(Debug)]
pub struct PackedLhs {
    format: PackedFormat,
    rows: usize,
    columns: usize,
    /// Numbers of consecutive rows of the same precision.
    precisions: Vec<(usize, Precision)>,
    /// Rows of each precision.
    sections: [Section; 2],
    staged: Matrix<bf16>,
}

/// Rows in the layout of one kind of microkernel.
#[derive(Debug)]
struct Section {
    /// Layout of the words.
    layout: PackedFormat,
    /// Row stride in words.
    stride: usize,
    words: AlignedBuf,
    /// Scales per row of 8 bits; 0 for other layouts.
    groups: usize,
    /// Scales and offsets: `[rows, groups]`.
    scale: Vec<f32>,
    offset: Vec<i32>,
}

/// Consecutive rows of the same precision.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) rows: Range<usize>,
    precision: Precision,
    /// Where they start in their section.
    start: usize,
}

impl Run {
    /// Rows of the section per row of the matrix.
    fn factor(&self) -> usize {
        if self.precision == Precision::High { 2 } else { 1 }
    }

    /// Rows per call of the microkernels.
    pub(crate) fn call_rows(&self) -> usize {
        call_rows() / self.factor()
    }
}

/// The rows of a tile as an operand of the microkernels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LhsTile<'a> {
    pub(crate) operand: Operand<'a>,
    pub(crate) quantized: QuantParams<'a>,
    /// Number of rows.
    pub(crate) rows: usize,
}

impl LhsTile<'_> {
    /// Whether the operand has two rows for each row, whose sums must be added.
    pub(crate) fn is_paired(&self) -> bool {
        self.operand.rows > self.rows
    }
}

impl PackedLhs {
    /// Creates an empty matrix.
    pub fn new(format: PackedFormat) -> Self {
        let section = |layout| Section {
            layout,
            stride: 0,
            words: AlignedBuf::default(),
            groups: 0,
            scale: Vec::new(),
            offset: Vec::new(),
        };
        let [fast, high] = match format {
            PackedFormat::Bf16Weights => [PackedFormat::F32; 2],
            _ if bf16_activations(format) => [PackedFormat::Bf16, format],
            _ => [format; 2],
        };
        Self {
            format,
            rows: 0,
            columns: 0,
            precisions: Vec::new(),
            sections: [section(fast), section(high)],
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

    /// Sets the precision of numbers of consecutive rows, for the next calls of [`fill`](Self::fill) and
    /// [`begin_write`](Self::begin_write). All rows are [`Fast`](Precision::Fast) by default.
    pub fn set_precision(&mut self, rows: impl IntoIterator<Item = (usize, Precision)>) {
        self.precisions.clear();
        if self.format.group().is_none() {
            return;
        }
        for (count, precision) in rows {
            match self.precisions.last_mut() {
                Some((last, same)) if *same == precision => *last += count,
                _ => self.precisions.push((count, precision)),
            }
        }
    }

    /// Sets the shape and packs the rows that `fill` writes, in parallel.
    ///
    /// # Panics
    ///
    /// When precisions were set for another number of rows.
    pub fn fill(&mut self, pool: &Pool, rows: usize, columns: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
        self.set_shape(rows, columns);
        let width = self.width();
        let tasks = self.split(|_| ROWS_PER_TASK);
        let transformed = self.is_transformed();
        let sections = self.sections.each_mut().map(Section::shared);
        pool.run(tasks.len(), |task| {
            let mut values = vec![0.0; width];
            let run = &tasks[task];
            let section = &sections[run.precision as usize];
            for row in run.rows.clone() {
                fill(row, &mut values[..columns]);
                if transformed {
                    hadamard(&mut values[..columns]);
                }
                let first = run.start + (row - run.rows.start) * run.factor();
                #[expect(unsafe_code, reason = "each row belongs to one task")]
                // SAFETY: each row is accessed by one task, and rows do not overlap.
                unsafe {
                    section.pack(first, run.factor(), &values);
                }
            }
        });
    }

    /// Sets the shape and returns the output for a product or attention to write the rows to. Call
    /// [`finish_write`](Self::finish_write) afterwards; until then, rows to be quantized are staged in bf16.
    ///
    /// # Panics
    ///
    /// As [`fill`](Self::fill).
    pub fn begin_write(&mut self, rows: usize, columns: usize) -> Epilogue<'_> {
        if self.is_staged() {
            self.staged.resize(rows, columns);
            return Epilogue::store(&mut self.staged);
        }
        self.set_shape(rows, columns);
        let width = self.width();
        let Section { layout, stride, words, .. } = &mut self.sections[Precision::Fast as usize];
        if *layout == PackedFormat::F32 {
            for row in words.values_mut::<f32>().chunks_mut((*stride).max(1)).take(rows) {
                row[columns..width].fill(0.0);
            }
            return Epilogue::to_words::<f32>(words.values_mut(), [rows, columns], *stride);
        }
        for row in words.values_mut::<bf16>().chunks_mut((2 * *stride).max(1)).take(rows) {
            row[columns..width].fill(bf16::ZERO);
        }
        Epilogue::to_words::<bf16>(words.values_mut(), [rows, columns], 2 * *stride)
    }

    /// Completes a write that [`begin_write`](Self::begin_write) started: quantizes staged rows.
    pub fn finish_write(&mut self, pool: &Pool) {
        if self.is_staged() {
            let staged = std::mem::take(&mut self.staged);
            self.fill(pool, staged.rows(), staged.columns(), |row, values| widen(staged.row(row), values));
            self.staged = staged;
        }
    }

    /// Whether written rows need another pass to be packed.
    fn is_staged(&self) -> bool {
        let has_high = self.precisions.iter().any(|(_, precision)| *precision == Precision::High);
        has_high || self.sections[Precision::Fast as usize].layout.group().is_some() || self.is_transformed()
    }

    /// Whether groups of inputs are multiplied by a Hadamard matrix, as those of the weights are.
    fn is_transformed(&self) -> bool {
        self.format == PackedFormat::Q8
    }

    /// Values of a row, padded to whole groups and steps.
    fn width(&self) -> usize {
        self.format.steps(self.columns) * self.format.step()
    }

    fn set_shape(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns) = (rows, columns);
        let given: usize = self.precisions.iter().map(|(count, _)| count).sum();
        assert!(self.precisions.is_empty() || given == rows, "precisions of {given} rows for {rows}");
        let mut counts = [0; 2];
        self.runs().iter().for_each(|run| counts[run.precision as usize] += run.rows.len() * run.factor());
        let width = self.width();
        for (section, rows) in self.sections.iter_mut().zip(counts) {
            section.set_shape(rows, width);
        }
    }

    fn runs(&self) -> Vec<Run> {
        if self.precisions.is_empty() {
            return vec![Run { rows: 0..self.rows, precision: Precision::Fast, start: 0 }];
        }
        let (mut first, mut starts) = (0, [0; 2]);
        let run = |&(count, precision): &(usize, Precision)| {
            let start = &mut starts[precision as usize];
            let run = Run { rows: first..first + count, precision, start: *start };
            *start += count * run.factor();
            first += count;
            run
        };
        self.precisions.iter().map(run).collect()
    }

    /// Splits the rows into runs of at most `size` rows.
    pub(crate) fn split(&self, size: impl Fn(&Run) -> usize) -> Vec<Run> {
        let mut parts = Vec::new();
        for run in self.runs() {
            for first in run.rows.clone().step_by(size(&run).max(1)) {
                let rows = first..run.rows.end.min(first + size(&run).max(1));
                parts.push(Run { start: run.start + (first - run.rows.start) * run.factor(), rows, ..run });
            }
        }
        parts
    }

    /// The rows of a run from `first`, at most a tile of them.
    pub(crate) fn tile(&self, run: &Run, first: usize) -> LhsTile<'_> {
        let section = &self.sections[run.precision as usize];
        let rows = run.call_rows().min(run.rows.end - first);
        let start = run.start + (first - run.rows.start) * run.factor();
        let words = &section.words.values()[start * section.stride..];
        let quantized = QuantParams { scale: &section.scale, offset: &section.offset };
        LhsTile {
            operand: Operand { words, stride: section.stride, rows: rows * run.factor() },
            quantized: quantized.rows_from(start, section.groups),
            rows,
        }
    }

    /// Layout of the rows of a run.
    pub(crate) fn layout(&self, run: &Run) -> PackedFormat {
        self.sections[run.precision as usize].layout
    }

    /// Bytes per row, for the choice of a block size that fits the cache.
    pub(crate) fn row_bytes(&self) -> usize {
        4 * self.sections.iter().map(|section| section.stride).max().unwrap_or(0)
    }
}

impl Section {
    fn set_shape(&mut self, rows: usize, width: usize) {
        self.groups = self.layout.groups(width);
        self.stride = stride(width.div_ceil(self.layout.step()));
        self.words.grow(rows * self.stride);
        self.scale.resize(rows * self.groups, 0.0);
        self.offset.resize(rows * self.groups, 0);
    }

    fn shared(&mut self) -> SharedSection<'_> {
        SharedSection {
            layout: self.layout,
            stride: self.stride,
            groups: self.groups,
            words: SharedSlice::new(self.words.values_mut()),
            scale: SharedSlice::new(&mut self.scale),
            offset: SharedSlice::new(&mut self.offset),
        }
    }
}

/// A section that several tasks write to.
struct SharedSection<'a> {
    layout: PackedFormat,
    stride: usize,
    groups: usize,
    words: SharedSlice<'a, u32>,
    scale: SharedSlice<'a, f32>,
    offset: SharedSlice<'a, i32>,
}

impl SharedSection<'_> {
    /// Packs a row of values as one row or as a pair of rows.
    ///
    /// # Safety
    ///
    /// No other thread may access these rows at the same time.
    #[allow(unsafe_code)]
    unsafe fn pack(&self, first: usize, rows: usize, values: &[f32]) {
        let steps = values.len() / self.layout.step();
        // SAFETY: as required of the caller.
        let (words, scale, offset) = unsafe {
            (
                self.words.part(first * self.stride, (rows - 1) * self.stride + steps),
                self.scale.part(first * self.groups, rows * self.groups),
                self.offset.part(first * self.groups, rows * self.groups),
            )
        };
        // What an offset is in units of the sum of codes; see `QuantParams`.
        let factor = if self.layout == PackedFormat::Q8 { -128 } else { 1 };
        match self.layout {
            PackedFormat::F32 | PackedFormat::Bf16Weights => words.copy_from_slice(bytemuck::cast_slice(values)),
            PackedFormat::Bf16 => narrow(values, bytemuck::cast_slice_mut(words)),
            PackedFormat::Q8 | PackedFormat::Q4 if rows == 1 => {
                quantize(values, bytemuck::cast_slice_mut(words), scale, offset, factor);
            }
            PackedFormat::Q8 | PackedFormat::Q4 => {
                let (upper, lower) = words.split_at_mut(self.stride);
                let codes = [&mut upper[..steps], lower].map(bytemuck::cast_slice_mut);
                quantize_high(values, codes, scale, offset, factor);
            }
        }
    }
}

/// Row stride in words: an odd number of whole cache lines, which avoids cache set conflicts between the rows of a
/// tile.
fn stride(steps: usize) -> usize {
    (steps.div_ceil(16) | 1) * 16
}
