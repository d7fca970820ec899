//! SIMD inner loops of resizing: weighted sums of byte blocks, and transposition.
//!
//! [`Portable`] is the scalar version, which compilers vectorize for the target's baseline; x86 with AVX2 has its own
//! (`avx2.rs`). Their results are equal.

/// Bytes per block.
pub(crate) const BLOCK: usize = 32;
/// Edge of a transposed square in bytes.
pub(crate) const SQUARE: usize = 16;

/// An instruction set.
pub(crate) trait Simd: crate::jpeg::JpegSimd {
    /// `sum(taps[k] * rows[k * stride + i])` for each `i` of a block, rounded, shifted right by `bits` and clamped to
    /// 0..=255.
    fn weighted_sum(self, rows: &[u8], stride: usize, taps: &[i16], bits: u32) -> [u8; BLOCK];

    /// Transposes two adjacent squares of 16 x 16 bytes.
    fn transpose(self, squares: [[u8; BLOCK]; SQUARE]) -> [[u8; BLOCK]; SQUARE];
}

/// Code that is compiled for every instruction set.
pub(crate) trait Work {
    /// Runs the code. Implementations must be `#[inline(always)]` to be compiled for the instruction set of `simd`.
    fn run<L: Simd>(self, simd: L);
}

/// Runs `work` with the best instruction set of this processor.
pub(crate) fn dispatch(work: impl Work) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(simd) = pulp::x86::V3::try_new() {
        struct With<W>(W, pulp::x86::V3);
        impl<W: Work> pulp::NullaryFnOnce for With<W> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                self.0.run(self.1);
            }
        }
        return simd.vectorize(With(work, simd));
    }
    work.run(Portable);
}

/// The portable implementation, vectorized by the compiler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    #[inline(always)]
    fn weighted_sum(self, rows: &[u8], stride: usize, taps: &[i16], bits: u32) -> [u8; BLOCK] {
        let mut sums = [1i32 << (bits - 1); BLOCK];
        for (row, &tap) in rows.chunks(stride).zip(taps) {
            for (sum, &byte) in sums.iter_mut().zip(&row[..BLOCK]) {
                *sum += i32::from(byte) * i32::from(tap);
            }
        }
        sums.map(|sum| (sum >> bits).clamp(0, 255) as u8)
    }

    #[inline(always)]
    fn transpose(self, squares: [[u8; BLOCK]; SQUARE]) -> [[u8; BLOCK]; SQUARE] {
        let mut out = [[0; BLOCK]; SQUARE];
        for (y, row) in squares.iter().enumerate() {
            for (x, byte) in row.iter().enumerate() {
                out[x % SQUARE][x / SQUARE * SQUARE + y] = *byte;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Portable, SQUARE, Simd, Work, dispatch};

    fn bytes(count: usize) -> Vec<u8> {
        (0..count as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    /// Compares an instruction set with scalar loops.
    struct Compare;

    impl Work for Compare {
        #[inline(always)]
        fn run<L: Simd>(self, simd: L) {
            let data = bytes(50 * 100);
            // Positive and negative weights at the limits of their range, in even and odd numbers.
            let taps: Vec<i16> =
                (0..40).map(|k: i32| [i16::MAX, -900, 7000, i16::MIN / 4, 1][(k % 5) as usize]).collect();
            for count in 1..40 {
                for bits in [1, 14, 22] {
                    let (found, wanted) = (
                        simd.weighted_sum(&data[13..], 100, &taps[..count], bits),
                        Portable.weighted_sum(&data[13..], 100, &taps[..count], bits),
                    );
                    assert_eq!(found, wanted, "{count} taps of {bits} bits");
                }
            }
            let squares: [[u8; BLOCK]; SQUARE] =
                std::array::from_fn(|row| std::array::from_fn(|at| data[row * BLOCK + at]));
            assert_eq!(simd.transpose(squares), Portable.transpose(squares));
            assert_eq!(simd.transpose(simd.transpose(squares)), squares);
        }
    }

    #[test]
    fn instruction_sets_agree() {
        dispatch(Compare);
    }

    #[test]
    fn transpose_swaps_rows_and_columns() {
        let mut squares = [[0; BLOCK]; SQUARE];
        (squares[3][5], squares[3][SQUARE + 7]) = (1, 2);
        let out = Portable.transpose(squares);
        assert_eq!((out[5][3], out[7][SQUARE + 3]), (1, 2));
        assert_eq!(out.as_flattened().iter().map(|&byte| u32::from(byte)).sum::<u32>(), 3);
    }
}
