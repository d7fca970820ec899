//! Applying an EXIF orientation.

mod directory;
mod metadata;

pub(crate) use directory::{Directory, Header};
pub(crate) use metadata::{Metadata, of_directory, of_jpeg, of_xmp};

use crate::Rgb;
use rayon::prelude::*;

/// Transformation from stored pixels to the upright image (EXIF 2.32, tag 0x0112); the default is the identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    /// Whether rows and columns are swapped.
    pub(crate) transposed: bool,
    /// Whether the output columns are in reverse order.
    back_x: bool,
    /// Whether the output rows are in reverse order.
    back_y: bool,
}

impl Orientation {
    /// The orientation of an EXIF value from 1 to 8; the identity for any other number.
    pub(crate) fn from_exif(value: u8) -> Self {
        let (transposed, back_x, back_y) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self { transposed, back_x, back_y }
    }
}

/// Rotates and mirrors an image.
pub(crate) fn apply(image: Rgb, orientation: Orientation) -> Rgb {
    if orientation == Orientation::default() {
        return image;
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let Orientation { transposed: turned, back_x, back_y } = orientation;
    let (out_width, out_height) = if turned { (height, width) } else { (width, height) };
    let (pixels, _) = image.data().as_chunks::<3>();
    // Blocked, so that input and output stay in cache when rows and columns are swapped.
    const SIDE: usize = 64;
    let mut data = vec![0; image.data().len()];
    data.par_chunks_mut(SIDE * out_width * 3).enumerate().for_each(|(band, out)| {
        let (out, _) = out.as_chunks_mut::<3>();
        for left in (0..out_width).step_by(SIDE) {
            for (row, line) in out.chunks_exact_mut(out_width).enumerate() {
                let y = band * SIDE + row;
                let from_y = if back_y { out_height - 1 - y } else { y };
                let line = &mut line[left..out_width.min(left + SIDE)];
                for (x, pixel) in (left..).zip(line) {
                    let from_x = if back_x { out_width - 1 - x } else { x };
                    *pixel = pixels[if turned { from_x * width + from_y } else { from_y * width + from_x }];
                }
            }
        }
    });
    Rgb::from_parts(out_width as u32, out_height as u32, data)
}

#[cfg(test)]
mod tests {
    use super::{Orientation, apply};
    use crate::Rgb;

    /// The red values of the 2 x 3 image `[[1, 2, 3], [4, 5, 6]]` after the transformation, row by row.
    fn turned(exif: u8) -> Vec<Vec<u8>> {
        let data = (1..=6).flat_map(|red| [red, 0, 0]).collect();
        let image = apply(Rgb::new(3, 2, data).unwrap(), Orientation::from_exif(exif));
        let reds: Vec<u8> = image.data().iter().copied().step_by(3).collect();
        reds.chunks(image.width() as usize).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn all_eight_orientations() {
        assert_eq!(turned(1), [[1, 2, 3], [4, 5, 6]]);
        assert_eq!(turned(2), [[3, 2, 1], [6, 5, 4]]);
        assert_eq!(turned(3), [[6, 5, 4], [3, 2, 1]]);
        assert_eq!(turned(4), [[4, 5, 6], [1, 2, 3]]);
        assert_eq!(turned(5), [[1, 4], [2, 5], [3, 6]]);
        assert_eq!(turned(6), [[4, 1], [5, 2], [6, 3]]);
        assert_eq!(turned(7), [[6, 3], [5, 2], [4, 1]]);
        assert_eq!(turned(8), [[3, 6], [2, 5], [1, 4]]);
    }

    #[test]
    fn inverse_orientation_restores_the_image() {
        let data = (0..130 * 70 * 3u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let image = Rgb::new(130, 70, data).unwrap();
        for (there, back) in [(2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7), (8, 6)] {
            let [there, back] = [there, back].map(Orientation::from_exif);
            let turned = apply(image.clone(), there);
            assert!(turned != image && apply(turned, back) == image, "{there:?}");
        }
    }
}
