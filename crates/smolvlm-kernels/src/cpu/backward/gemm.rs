//! Matrix products over slices, with the crate `gemm`, which is also the one of Burn's CPU backend.

/// A strided view of a matrix in a slice.
#[derive(Debug, Clone, Copy)]
pub struct MatrixView<'a> {
    values: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> MatrixView<'a> {
    /// Creates a view with these strides of rows and columns.
    ///
    /// # Panics
    ///
    /// When the last value lies outside the slice.
    pub fn new(values: &'a [f32], shape: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(fits(values.len(), shape, strides), "a {shape:?} matrix inside {} values", values.len());
        Self { values, shape, strides }
    }

    /// Creates a view of a contiguous row-major matrix.
    pub fn contiguous(values: &'a [f32], [rows, columns]: [usize; 2]) -> Self {
        Self::new(values, [rows, columns], [columns, 1])
    }

    /// A row, whose values must be contiguous.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.strides[0]..][..self.shape[1]]
    }

    /// The transposed view.
    pub fn transposed(self) -> Self {
        let ([rows, columns], [row, column]) = (self.shape, self.strides);
        Self { values: self.values, shape: [columns, rows], strides: [column, row] }
    }
}

fn fits(len: usize, [rows, columns]: [usize; 2], [row, column]: [usize; 2]) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row + (columns - 1) * column < len
}

/// Minimum number of multiply-adds for a multithreaded product.
const PARALLEL_MIN_MACS: usize = 192 * 192 * 192;

/// Computes `out = scale a b`, or with `add` `out += scale a b`; `stride` is the row stride of `out`.
///
/// # Panics
///
/// When the shapes of the matrices and `out` do not match.
#[allow(unsafe_code)]
pub fn gemm(out: &mut [f32], stride: usize, a: MatrixView<'_>, b: MatrixView<'_>, scale: f32, add: bool) {
    let ([m, k], [inner, n]) = (a.shape, b.shape);
    assert_eq!(k, inner, "the inner dimensions must be equal");
    assert!(stride >= n && fits(out.len(), [m, n], [stride, 1]), "the output must have room for {m} x {n} values");
    let parallel = m * n * k >= PARALLEL_MIN_MACS && rayon::current_num_threads() > 1;
    let parallelism = if parallel { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    // SAFETY: all three matrices lie inside their slices: views are checked on creation, and `out` above. Rows of `out`
    // do not overlap, and the mutable borrow is exclusive.
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
