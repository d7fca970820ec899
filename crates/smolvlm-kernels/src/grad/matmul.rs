//! Matrix products over slices.

/// A matrix somewhere in a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    values: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> View<'a> {
    /// Rows and columns that lie `strides` apart.
    ///
    /// # Panics
    ///
    /// When the last value lies outside the slice.
    pub(super) fn new(values: &'a [f32], shape: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(fits(values.len(), shape, strides), "a {shape:?} matrix inside {} values", values.len());
        Self { values, shape, strides }
    }

    /// Row after row without gaps.
    pub(super) fn contiguous(values: &'a [f32], [rows, columns]: [usize; 2]) -> Self {
        Self::new(values, [rows, columns], [columns, 1])
    }

    /// A row, whose values must lie side by side.
    pub(super) fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.strides[0]..][..self.shape[1]]
    }

    /// Rows as columns.
    pub(super) fn transposed(self) -> Self {
        let ([rows, columns], [row, column]) = (self.shape, self.strides);
        Self { values: self.values, shape: [columns, rows], strides: [column, row] }
    }
}

fn fits(len: usize, [rows, columns]: [usize; 2], [row, column]: [usize; 2]) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row + (columns - 1) * column < len
}

/// Multiplications from which on a product is worth all threads.
const PARALLEL_MIN_MACS: usize = 192 * 192 * 192;

/// `out = scale a b`, or with `add` `out += scale a b`; rows of `out` lie `stride` apart.
///
/// # Panics
///
/// When the matrices do not fit each other, or `out`.
#[allow(unsafe_code)]
pub(super) fn matmul(out: &mut [f32], stride: usize, a: View<'_>, b: View<'_>, scale: f32, add: bool) {
    let ([m, k], [inner, n]) = (a.shape, b.shape);
    assert_eq!(k, inner, "as many columns as rows");
    assert!(stride >= n && fits(out.len(), [m, n], [stride, 1]), "a place for {m} x {n} values");
    let parallel = m * n * k >= PARALLEL_MIN_MACS && rayon::current_num_threads() > 1;
    let parallelism = if parallel { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    // SAFETY: all three matrices lie inside their slices: views are made so, and `out` was checked above. Rows of `out` do
    // not overlap, and nothing else can hold it.
    unsafe {
        ::gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            add,
            a.values.as_ptr(),
            a.strides[1] as isize,
            a.strides[0] as isize,
            b.values.as_ptr(),
            b.strides[1] as isize,
            b.strides[0] as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}
