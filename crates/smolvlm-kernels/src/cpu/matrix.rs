//! Row-major matrices of f32 or bf16 values.

use super::aligned_buf::AlignedBuf;
use super::half;
use super::pool::Pool;
use super::shared_slice::SharedSlice;
use ::half::bf16;
use bytemuck::Pod;

/// An element type of attention and intermediate results.
pub trait Element: Pod + Send + Sync + std::fmt::Debug + private::Sealed {
    /// Zero.
    const ZERO: Self;
    /// Elements per word of 4 bytes.
    const STEP: usize;
    /// Rounds to this type.
    fn narrow(value: f32) -> Self;
    /// Converts to f32, exactly.
    fn wide(self) -> f32;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for ::half::bf16 {}
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const STEP: usize = 1;

    #[inline(always)]
    fn narrow(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }
}

impl Element for bf16 {
    const ZERO: Self = bf16::ZERO;
    const STEP: usize = 2;

    #[inline(always)]
    fn narrow(value: f32) -> Self {
        bf16::from_bits(half::round(value))
    }

    #[inline(always)]
    fn wide(self) -> f32 {
        half::wide(self.to_bits())
    }
}

/// Rows per task.
const ROWS_PER_TASK: usize = 16;

/// A row-major matrix whose rows start on cache lines.
#[derive(Debug, Default)]
pub struct Matrix<E> {
    words: AlignedBuf,
    rows: usize,
    columns: usize,
    stride: usize,
    element: std::marker::PhantomData<E>,
}

impl<E: Element> Matrix<E> {
    /// Creates an empty matrix.
    pub fn new() -> Self {
        Self { words: AlignedBuf::default(), rows: 0, columns: 0, stride: 0, element: std::marker::PhantomData }
    }

    /// Sets the shape. The values are unspecified: earlier ones or zero. Memory is reused and never shrinks.
    pub fn resize(&mut self, rows: usize, columns: usize) {
        let line = 16 * E::STEP;
        (self.rows, self.columns, self.stride) = (rows, columns, columns.next_multiple_of(line));
        self.words.grow(rows * self.stride / E::STEP);
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Row stride, in values.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All rows, including the padding between them.
    pub fn values(&self) -> &[E] {
        &self.words.values()[..self.rows * self.stride]
    }

    /// The values, row-major without padding.
    pub fn to_vec(&self) -> Vec<E> {
        let mut values = Vec::with_capacity(self.rows * self.columns);
        (0..self.rows).for_each(|row| values.extend_from_slice(self.row(row)));
        values
    }

    /// A row.
    pub fn row(&self, row: usize) -> &[E] {
        &self.words.values()[row * self.stride..][..self.columns]
    }

    /// A mutable row.
    pub fn row_mut(&mut self, row: usize) -> &mut [E] {
        let (start, columns) = (row * self.stride, self.columns);
        &mut self.words.values_mut()[start..][..columns]
    }

    /// Sets the shape and lets `fill` write each row, in parallel.
    pub fn fill(&mut self, pool: &Pool, rows: usize, columns: usize, fill: impl Fn(usize, &mut [E]) + Sync) {
        self.resize(rows, columns);
        self.for_rows(pool, fill);
    }

    /// Calls `change` for each row, in parallel.
    pub fn for_rows(&mut self, pool: &Pool, change: impl Fn(usize, &mut [E]) + Sync) {
        let (rows, columns, stride) = (self.rows, self.columns, self.stride);
        let values = SharedSlice::new(self.all_mut());
        pool.run(rows.div_ceil(ROWS_PER_TASK), |task| {
            for row in task * ROWS_PER_TASK..rows.min((task + 1) * ROWS_PER_TASK) {
                #[expect(unsafe_code, reason = "each row belongs to one task")]
                // SAFETY: each row is accessed by one task, and rows do not overlap.
                change(row, unsafe { values.part(row * stride, columns) });
            }
        });
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        self.words.values_mut()
    }

    pub(crate) fn all_mut(&mut self) -> &mut [E] {
        self.words.values_mut()
    }
}
