//! Conversion from `Y'CbCr` to RGB with matrices that the safe API of FFmpeg's scaler does not support.

/// A matrix from `Y'CbCr` to RGB with 16 fraction bits (ITU-T H.273, section 8.3, with 8 bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Matrix {
    black: i32,
    luma: i32,
    /// Red from `Cr`, green from `Cb` and `Cr`, blue from `Cb`.
    chroma: [i32; 4],
}

/// Luma coefficients of red and blue.
pub(crate) const BT601: (f64, f64) = (0.299, 0.114);
pub(crate) const BT709: (f64, f64) = (0.2126, 0.0722);
pub(crate) const BT2020: (f64, f64) = (0.2627, 0.0593);
pub(crate) const SMPTE240M: (f64, f64) = (0.212, 0.087);

impl Matrix {
    /// The matrix with these luma coefficients. Unless it is `full_range`, luma uses the levels 16 to 235 and chroma 16
    /// to 240.
    pub(crate) fn new((red, blue): (f64, f64), full_range: bool) -> Self {
        let (black, luma, chroma) = if full_range { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        let fixed = |value: f64| (value * f64::from(1 << 16)).round() as i32;
        let green = 1.0 - red - blue;
        let from_red = 2.0 * (1.0 - red) * chroma;
        let from_blue = 2.0 * (1.0 - blue) * chroma;
        let parts = [from_red, -from_blue * blue / green, -from_red * red / green, from_blue];
        Self { black, luma: fixed(luma), chroma: parts.map(fixed) }
    }

    /// Converts a row of pixels and appends it in RGB.
    pub(crate) fn append_row(self, luma: &[u8], blue: &[u8], red: &[u8], out: &mut Vec<u8>) {
        let pixels = luma.iter().zip(blue).zip(red);
        pixels.for_each(|((&y, &cb), &cr)| out.extend(self.rgb(y, cb, cr)));
    }

    fn rgb(self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let luma = (i32::from(y) - self.black) * self.luma + (1 << 15);
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let [red, green_blue, green_red, blue] = self.chroma;
        let level = |value: i32| (value >> 16).clamp(0, 255) as u8;
        [level(luma + red * cr), level(luma + green_blue * cb + green_red * cr), level(luma + blue * cb)]
    }
}

#[cfg(test)]
mod tests {
    use super::{BT709, Matrix};

    #[test]
    fn black_white_and_red() {
        let convert = |matrix: Matrix, pixel: [u8; 3]| {
            let mut out = Vec::new();
            matrix.append_row(&pixel[..1], &pixel[1..2], &pixel[2..], &mut out);
            out
        };
        let limited = Matrix::new(BT709, false);
        assert_eq!(convert(limited, [16, 128, 128]), [0, 0, 0]);
        assert_eq!(convert(limited, [235, 128, 128]), [255, 255, 255]);
        assert_eq!(convert(limited, [63, 102, 240]), [255, 1, 0]);
        assert_eq!(convert(Matrix::new(BT709, true), [255, 128, 128]), [255, 255, 255]);
    }
}
