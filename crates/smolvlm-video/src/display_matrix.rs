//! Display matrices of containers.

/// The EXIF orientation (1 to 8) nearest to a display matrix; 1, as stored, if it is not a valid matrix.
///
/// The matrix is 3 x 3 numbers in native byte order, row by row; output `x = a u + c v`, `y = b u + d v` with the first
/// two rows `[a b _]` and `[c d _]` in 16.16 fixed point (FFmpeg, libavutil/display.h).
pub(crate) fn exif_orientation(matrix: &[u8]) -> u8 {
    let (numbers, rest) = matrix.as_chunks::<4>();
    let &[a, b, _, c, d, ..] = numbers else { return 1 };
    if numbers.len() != 9 || !rest.is_empty() {
        return 1;
    }
    let [a, b, c, d] = [a, b, c, d].map(|bytes| i64::from(i32::from_ne_bytes(bytes)));
    let straight = a.abs() + d.abs() >= b.abs() + c.abs();
    // The signs determine where the right and bottom edges of the image are displayed.
    match (straight, if straight { (a < 0, d < 0) } else { (b < 0, c < 0) }) {
        (true, (false, false)) => 1,
        (true, (true, false)) => 2,
        (true, (true, true)) => 3,
        (true, (false, true)) => 4,
        (false, (false, false)) => 5,
        // The right edge becomes the bottom, the bottom edge the left: a clockwise rotation by 90 degrees.
        (false, (false, true)) => 6,
        (false, (true, true)) => 7,
        (false, (true, false)) => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::exif_orientation;

    fn matrix(numbers: [i32; 4]) -> Vec<u8> {
        let [a, b, c, d] = numbers;
        let one = 1 << 30;
        [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, one].into_iter().flat_map(i32::to_ne_bytes).collect()
    }

    #[test]
    fn rotations_and_reflections_are_recognized() {
        let cases = [
            ([1, 0, 0, 1], 1),
            ([-1, 0, 0, 1], 2),
            ([-1, 0, 0, -1], 3),
            ([1, 0, 0, -1], 4),
            ([0, 1, 1, 0], 5),
            ([0, 1, -1, 0], 6),
            ([0, -1, -1, 0], 7),
            ([0, -1, 1, 0], 8),
        ];
        for (numbers, orientation) in cases {
            assert_eq!(exif_orientation(&matrix(numbers)), orientation, "{numbers:?}");
        }
    }

    #[test]
    fn invalid_matrices_are_ignored() {
        for bytes in [&[][..], &[0; 36], &[1; 35], &[255; 40]] {
            assert_eq!(exif_orientation(bytes), 1);
        }
        assert_eq!(exif_orientation(&[0x80; 36]), exif_orientation(&[0x80; 36]));
    }
}
