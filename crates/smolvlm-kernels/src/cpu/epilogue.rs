//! GEMM epilogue: bias, activation, and the write of the results.

use super::isa::{one_by_one, vectorized};
use super::matrix::{Element, Matrix};
use super::micro::{COLUMNS, kernels};
use super::shared_slice::SharedSlice;
use crate::activation::Activation;
use ::half::bf16;

/// The output of a matrix product and the operations fused into the write: bias, activation, and addition to the
/// existing values.
///
/// Each epilogue has exclusive access to its columns: it cannot be cloned, only split, and a product that writes to it
/// consumes it.
#[derive(Debug)]
pub struct Epilogue<'a> {
    target: Target<'a>,
    rows: usize,
    stride: usize,
    first_column: usize,
    columns: usize,
    bias: Option<&'a [f32]>,
    activation: Option<Activation>,
}

#[derive(Debug, Clone, Copy)]
enum Target<'a> {
    Store32(SharedSlice<'a, f32>),
    Store16(SharedSlice<'a, bf16>),
    Add(SharedSlice<'a, f32>),
}

impl<'a> Epilogue<'a> {
    /// Writes the results to a matrix.
    pub fn store<E: Element>(matrix: &'a mut Matrix<E>) -> Self {
        let (shape, stride) = ([matrix.rows(), matrix.columns()], matrix.stride());
        Self::to_words::<E>(matrix.words_mut(), shape, stride)
    }

    /// Adds the results to a matrix.
    pub fn add_to(matrix: &'a mut Matrix<f32>) -> Self {
        let (shape, stride) = ([matrix.rows(), matrix.columns()], matrix.stride());
        Self::new(Target::Add(SharedSlice::new(matrix.all_mut())), shape, stride)
    }

    /// Writes the results to `[rows, columns]` elements with a row stride of `stride`.
    pub(crate) fn to_words<E: Element>(words: &'a mut [u32], shape: [usize; 2], stride: usize) -> Self {
        let target = if E::STEP == 1 {
            Target::Store32(SharedSlice::new(bytemuck::cast_slice_mut(words)))
        } else {
            Target::Store16(SharedSlice::new(bytemuck::cast_slice_mut(words)))
        };
        Self::new(target, shape, stride)
    }

    fn new(target: Target<'a>, [rows, columns]: [usize; 2], stride: usize) -> Self {
        Self { target, rows, stride, first_column: 0, columns, bias: None, activation: None }
    }

    /// Splits the columns into adjacent groups of these widths; bias and activation are dropped.
    ///
    /// # Panics
    ///
    /// When the widths do not sum to the number of columns.
    pub fn split_columns<const N: usize>(self, widths: [usize; N]) -> [Self; N] {
        let total: usize = widths.iter().sum();
        assert_eq!(total, self.columns, "widths {widths:?} of {} columns", self.columns);
        let mut first_column = self.first_column;
        widths.map(|columns| {
            let part = Self { first_column, columns, bias: None, activation: None, ..self };
            first_column += columns;
            part
        })
    }

    /// Checks that the output has the shape `[rows, columns]`, and that the bias has a value per column.
    ///
    /// Tasks write to parts of an output without locks, so everything that starts them must call this first.
    ///
    /// # Panics
    ///
    /// When a shape does not match.
    pub(crate) fn check(&self, rows: usize, columns: usize) {
        assert_eq!([self.rows, self.columns], [rows, columns], "an output of another shape than the results");
        let biases = self.bias.map_or(columns, <[f32]>::len);
        assert_eq!(biases, columns, "a bias of another length than the results");
    }

    /// Adds a bias to the results.
    pub fn with_bias(self, bias: Option<&'a [f32]>) -> Self {
        Self { bias, ..self }
    }

    /// Applies an activation function after the bias.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation: Some(activation), ..self }
    }

    /// Writes `rows` rows of `columns` values, at most 32 per row of `sums`, to the output.
    ///
    /// # Safety
    ///
    /// No other thread may write the same rows and columns at the same time.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn write(
        &self,
        [row, column]: [usize; 2],
        [rows, columns]: [usize; 2],
        sums: &[f32],
        stride: usize,
    ) {
        let region =
            Region { start: row * self.stride + self.first_column + column, stride: self.stride, rows, columns };
        // SAFETY: the caller has exclusive access to this region.
        unsafe {
            match self.target {
                Target::Store32(out) => copy(sums, stride, region, out),
                Target::Store16(out) => (kernels().narrow_rows)(sums, stride, region, out),
                Target::Add(out) => add(sums, stride, region, out),
            }
        }
    }
}

/// A block of rows and columns of an output.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub(crate) start: usize,
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Region {
    /// Calls `store_row` for each row, with its values and its destination.
    ///
    /// # Safety
    ///
    /// The caller must have exclusive access to the region.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(crate) unsafe fn rows<T>(
        self,
        sums: &[f32],
        stride: usize,
        out: SharedSlice<'_, T>,
        store_row: impl Fn(&[f32], &mut [T]),
    ) {
        for row in 0..self.rows {
            // SAFETY: as required of the caller.
            let out = unsafe { out.part(self.start + row * self.stride, self.columns) };
            store_row(&sums[row * stride..][..self.columns], out);
        }
    }
}

/// # Safety
///
/// As [`Region::rows`].
#[allow(unsafe_code)]
unsafe fn copy(sums: &[f32], stride: usize, region: Region, out: SharedSlice<'_, f32>) {
    // SAFETY: as required of the caller.
    unsafe { region.rows(sums, stride, out, |sums, out| out.copy_from_slice(sums)) }
}

/// Rounds a block of rows to bf16.
///
/// # Safety
///
/// As [`Region::rows`].
#[allow(unsafe_code)]
pub(crate) unsafe fn narrow_rows(sums: &[f32], stride: usize, region: Region, out: SharedSlice<'_, bf16>) {
    // SAFETY: as required of the caller.
    unsafe { region.rows(sums, stride, out, narrow_to) }
}

/// # Safety
///
/// As [`Region::rows`].
#[allow(unsafe_code)]
unsafe fn add(sums: &[f32], stride: usize, region: Region, out: SharedSlice<'_, f32>) {
    // SAFETY: as required of the caller.
    unsafe { region.rows(sums, stride, out, add_to) }
}

impl Epilogue<'_> {
    /// The bias of the columns of a panel.
    pub(crate) fn panel_bias(&self, column: usize, columns: usize) -> Option<PanelBias> {
        self.bias.map(|bias| panel_bias(bias, column, columns))
    }

    /// Applies bias and activation to the sums of a tile and writes them.
    ///
    /// # Safety
    ///
    /// As [`write`](Self::write).
    #[allow(unsafe_code)]
    pub(crate) unsafe fn apply(
        &self,
        [row, column]: [usize; 2],
        [rows, columns]: [usize; 2],
        bias: Option<&PanelBias>,
        sums: &mut [f32],
    ) {
        if let Some(bias) = bias {
            add_bias(sums, bias);
        }
        if let Some(activation) = self.activation {
            activation.apply(&mut sums[..rows * COLUMNS]);
        }
        // SAFETY: as required of the caller.
        unsafe { self.write([row, column], [rows, columns], sums, COLUMNS) };
    }
}

/// The bias of the columns of a panel, padded with zeros.
pub(crate) type PanelBias = [f32; COLUMNS];

pub(crate) fn panel_bias(bias: &[f32], column: usize, columns: usize) -> PanelBias {
    let mut whole = [0.0; COLUMNS];
    whole[..columns].copy_from_slice(&bias[column..][..columns]);
    whole
}

vectorized! {
    /// Adds a bias to rows of 32 sums.
    pub(crate) fn add_bias(sums: &mut [f32], bias: &PanelBias) {
        for row in sums.as_chunks_mut::<COLUMNS>().0 {
            for (sum, bias) in one_by_one(row).iter_mut().zip(bias) {
                *sum += bias;
            }
        }
    }
}

vectorized! {
    /// Rounds values.
    pub(crate) fn narrow_to<E: Element>(values: &[f32], out: &mut [E]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = E::narrow(*value);
        }
    }
}

vectorized! {
    fn add_to(sums: &[f32], out: &mut [f32]) {
        // The common case has a constant width.
        if let (Ok(out), Ok(sums)) = (<&mut [f32; COLUMNS]>::try_from(&mut *out), <&[f32; COLUMNS]>::try_from(sums)) {
            return out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
    }
}
