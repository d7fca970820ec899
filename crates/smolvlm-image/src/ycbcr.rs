//! YCbCr to RGB as libtiff 4.7 converts it (`TIFFYCbCrToRGBInit` and `TIFFYCbCrtoRGB` of tif_color.c), in tables.

/// Lookup tables for the contribution of each component to red, green and blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YCbCr {
    luma: [i32; 256],
    red: [i32; 256],
    /// With 16 bits of fraction, as [`green_cb`](Self::green_cb).
    green_cr: [i32; 256],
    green_cb: [i32; 256],
    blue: [i32; 256],
}

/// Number of fraction bits.
const SHIFT: u32 = 16;
const HALF: i32 = 1 << (SHIFT - 1);

impl YCbCr {
    /// Luma coefficients of red, green and blue (ITU-R BT.601), unless specified in the file.
    pub(crate) const COEFFICIENTS: [f32; 3] = [0.299, 0.587, 0.114];
    /// Black and white levels of each component, unless specified in the file.
    pub(crate) const LEVELS: [f32; 6] = [0.0, 255.0, 128.0, 255.0, 128.0, 255.0];

    /// Tables for these coefficients and levels; `None` if libtiff rejects them.
    pub(crate) fn new(coefficients: [f32; 3], levels: [f32; 6]) -> Option<Self> {
        let [red, green, blue] = coefficients;
        let limit = i32::MAX as f32;
        if green == 0.0
            || coefficients.iter().any(|share| share.is_nan())
            || !levels.iter().all(|&level| -limit + 128.0 < level && level < limit)
        {
            return None;
        }
        let fixed = |factor: f32| (f64::from(factor.clamp(0.0, 2.0) * (1 << SHIFT) as f32) + 0.5) as i32;
        let (red_cr, blue_cb) = (2.0 - 2.0 * red, 2.0 - 2.0 * blue);
        let (green_cr, green_cb) = (-fixed(red * red_cr / green), -fixed(blue * blue_cb / green));
        let (red_cr, blue_cb) = (fixed(red_cr), fixed(blue_cb));
        let value = |code: i32, black: f32, white: f32, range: f32| {
            let span = if white - black == 0.0 { 1.0 } else { white - black };
            let value = code.wrapping_sub(black as i32) as f32 * range / span;
            value.clamp(-128.0 * 32.0, 128.0 * 32.0) as i32
        };
        let chroma =
            |level: usize, at: usize| value(level as i32 - 128, levels[at] - 128.0, levels[at + 1] - 128.0, 127.0);
        let scaled = |factor: i32, value: i32| (factor * value + HALF) >> SHIFT;
        Some(Self {
            luma: std::array::from_fn(|level| value(level as i32, levels[0], levels[1], 255.0)),
            red: std::array::from_fn(|level| scaled(red_cr, chroma(level, 4))),
            green_cr: std::array::from_fn(|level| green_cr * chroma(level, 4)),
            green_cb: std::array::from_fn(|level| green_cb * chroma(level, 2) + HALF),
            blue: std::array::from_fn(|level| scaled(blue_cb, chroma(level, 2))),
        })
    }

    /// Converts a pixel.
    pub(crate) fn rgb(&self, luma: u8, cb: u8, cr: u8) -> [u8; 3] {
        let [luma, cb, cr] = [luma, cb, cr].map(usize::from);
        let green = (self.green_cb[cb] + self.green_cr[cr]) >> SHIFT;
        [self.red[cr], green, self.blue[cb]].map(|part| (self.luma[luma] + part).clamp(0, 255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::YCbCr;

    #[test]
    fn pixels_match_libtiff() {
        // Pillow 13, LZW-compressed TIFF files; the second with video levels and BT.709 coefficients.
        let pixels = [[0, 128, 128], [255, 128, 128], [128, 0, 255], [200, 255, 0], [81, 90, 240], [17, 1, 127]];
        let rgb = |tables: Option<YCbCr>| pixels.map(|[y, cb, cr]| tables.as_ref().unwrap().rgb(y, cb, cr));
        let expected = [[0; 3], [255; 3], [255, 81, 0], [21, 248, 255], [238, 14, 14], [16, 61, 0]];
        assert_eq!(rgb(YCbCr::new(YCbCr::COEFFICIENTS, YCbCr::LEVELS)), expected);
        let levels = [16.0, 235.0, 128.0, 240.0, 128.0, 240.0];
        let expected = [[0; 3], [255; 3], [255, 90, 0], [0, 255, 255], [255, 24, 0], [0, 28, 0]];
        assert_eq!(rgb(YCbCr::new([0.2126, 0.7152, 0.0722], levels)), expected);
    }

    #[test]
    fn invalid_coefficients_are_rejected() {
        assert_eq!(YCbCr::new([0.3, 0.0, 0.1], YCbCr::LEVELS), None);
        assert_eq!(YCbCr::new([f32::NAN, 0.6, 0.1], YCbCr::LEVELS), None);
        assert_eq!(YCbCr::new(YCbCr::COEFFICIENTS, [f32::INFINITY; 6]), None);
        // Out-of-range values are clamped.
        assert!(YCbCr::new([-9e9, 1e-30, 9e9], [-2e9, 2e9, 0.0, 0.0, 7.0, 7.5]).is_some());
    }
}
