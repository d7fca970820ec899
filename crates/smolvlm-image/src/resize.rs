//! 8-bit resizing, bit for bit as torchvision does it: horizontal pass, rounding to 8 bits, vertical pass.

use crate::kernel::{Filter, Weights};
use crate::passes::{both, horizontal, vertical};
use crate::{Error, Limits, Rgb};
use smolvlm_config::Resample;
use std::borrow::Cow;

/// Interleaved 8-bit RGB, `[height, width, 3]`.
#[derive(Debug, Clone)]
pub(crate) struct Plane<'a> {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) data: Cow<'a, [u8]>,
}

impl<'a> Plane<'a> {
    /// The pixels of an image, borrowed.
    pub(crate) fn new(image: &'a Rgb) -> Self {
        let (height, width) = (image.height() as usize, image.width() as usize);
        Self { height, width, data: Cow::Borrowed(image.data()) }
    }

    /// The same pixels, borrowed.
    pub(crate) fn borrowed(&self) -> Plane<'_> {
        Plane { height: self.height, width: self.width, data: Cow::Borrowed(&self.data) }
    }
}

/// Number of channels.
pub(crate) const CHANNELS: usize = 3;

/// Resizes an image to `height` x `width` pixels with a filter of the reference in 8-bit arithmetic. An axis whose size
/// does not change is not resampled.
///
/// # Errors
///
/// [`Error::Resample`] for a filter without an 8-bit kernel in the reference, [`Error::EmptyImage`] if a side is zero,
/// [`Error::Limit`] for more pixels than the default [`Limits`] allow.
pub fn resize(image: &Rgb, height: u32, width: u32, filter: Resample) -> Result<Rgb, Error> {
    if let Some(&(height, width)) =
        [(image.height(), image.width()), (height, width)].iter().find(|(height, width)| *height == 0 || *width == 0)
    {
        return Err(Error::EmptyImage { height, width });
    }
    check_resize(image.height(), (height, width), &Limits::default())?;
    let out = resize_plane(Plane::new(image), (height as usize, width as usize), filter)?;
    Rgb::new(width, height, out.data.into_owned())
}

/// Checks that an image with `rows` rows can be resized to `height` x `width` within the pixel limit, including the
/// intermediate image after the horizontal pass.
pub(crate) fn check_resize(rows: u32, (height, width): (u32, u32), limits: &Limits) -> Result<(), Error> {
    limits.check_pixels("the resized image's number of pixels", u64::from(rows.max(height)) * u64::from(width))
}

/// Resizes to `height` x `width`. An axis whose size does not change is not resampled.
///
/// # Errors
///
/// [`Error::Resample`] for a filter without an 8-bit kernel in the reference.
pub(crate) fn resize_plane<'a>(
    image: Plane<'a>,
    (height, width): (usize, usize),
    resample: Resample,
) -> Result<Plane<'a>, Error> {
    if (image.height, image.width) == (height, width) {
        return Ok(image);
    }
    let Some(filter) = Filter::new(resample)? else {
        return Ok(nearest(&image, height, width));
    };
    let across = || Weights::new(filter, image.width, width);
    let down = || Weights::new(filter, image.height, height);
    Ok(match (image.width == width, image.height == height) {
        (false, false) => both(&image, &across(), &down()),
        (false, true) => horizontal(&image, &across()),
        _ => vertical(&image, &down()),
    })
}

/// Nearest-neighbor resizing: torch's `nearest-exact`, which the reference uses.
fn nearest<'a>(image: &Plane<'_>, height: usize, width: usize) -> Plane<'a> {
    let row = image.width * CHANNELS;
    let mut data = Vec::with_capacity(height * width * CHANNELS);
    let columns = nearest_samples(image.width, width, height + width);
    for y in nearest_samples(image.height, height, height + width) {
        let samples = &image.data[y * row..][..row];
        for x in &columns {
            data.extend_from_slice(&samples[x * CHANNELS..][..CHANNELS]);
        }
    }
    Plane { height, width, data: Cow::Owned(data) }
}

/// Input index of each of `output` samples: `floor((i + 0.5) * scale)` in f32. At exact ties the rounding matters, and
/// torch rounds in two ways: its kernel for outputs of more than 128 rows and columns in total (`perimeter`) subtracts
/// and adds a half (torch 2.15, `aten/src/ATen/native/cpu/UpSampleKernel.cpp`, measured with AVX2).
fn nearest_samples(input: usize, output: usize, perimeter: usize) -> Vec<usize> {
    let scale = input as f32 / output as f32;
    let sample = |index: usize| {
        let middle = index as f32 + 0.5;
        let at = if perimeter <= 128 { middle * scale } else { middle.mul_add(scale, -0.5) + 0.5 };
        (at as usize).min(input - 1)
    };
    (0..output).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::{nearest_samples, resize};
    use crate::kernel::{Filter, Weights};
    use crate::{Error, Rgb};
    use smolvlm_config::Resample;

    /// A single-channel resize; the other channels repeat it.
    fn gray(rows: &[&[u8]], size: (u32, u32)) -> Vec<Vec<u8>> {
        let data: Vec<u8> = rows.iter().flat_map(|row| row.iter().flat_map(|&v| [v; 3])).collect();
        let image = Rgb::new(rows[0].len() as u32, rows.len() as u32, data).unwrap();
        let out = resize(&image, size.0, size.1, Resample::Lanczos).unwrap();
        let pixels: Vec<u8> =
            out.data().chunks_exact(3).inspect(|p| assert!(p[0] == p[1] && p[1] == p[2])).map(|p| p[0]).collect();
        pixels.chunks_exact(size.1 as usize).map(<[u8]>::to_vec).collect()
    }

    const SAMPLE: [&[u8]; 3] = [&[0, 10, 200, 255], &[30, 60, 90, 120], &[255, 0, 255, 0]];

    #[test]
    fn small_cases_match_torchvision() {
        assert_eq!(gray(&SAMPLE, (2, 2)), [[18, 175], [119, 94]]);
        assert_eq!(
            gray(&SAMPLE, (5, 6)),
            [
                [9, 0, 28, 184, 255, 255],
                [0, 6, 49, 126, 199, 224],
                [28, 41, 66, 84, 109, 122],
                [183, 91, 36, 179, 119, 26],
                [255, 115, 10, 255, 155, 0]
            ]
        );
        assert_eq!(gray(&SAMPLE, (3, 4)), SAMPLE.map(<[u8]>::to_vec));
    }

    #[test]
    fn wide_uniform_row_stays_uniform() {
        let wide = vec![77u8; 1000];
        assert!(gray(&[&wide, &wide, &wide], (7, 333)).iter().flatten().all(|&value| value == 77));
    }

    #[test]
    fn sides_of_zero_and_filters_without_a_kernel_are_errors() {
        let image = Rgb::new(1, 1, vec![1, 2, 3]).unwrap();
        let filter = Resample::Lanczos;
        assert!(matches!(resize(&image, 0, 4, filter), Err(Error::EmptyImage { height: 0, width: 4 })));
        let empty = Rgb::new(0, 9, Vec::new()).unwrap();
        assert!(matches!(resize(&empty, 4, 4, filter), Err(Error::EmptyImage { height: 9, width: 0 })));
        assert!(matches!(resize(&image, 4, 4, Resample::Box), Err(Error::Resample { .. })));
    }

    /// Scalar implementation of the passes: one output at a time.
    fn plain(image: &Rgb, height: usize, width: usize, filter: Resample) -> Vec<u8> {
        let filter = Filter::new(filter).unwrap().unwrap();
        let pass = |samples: &[u8], input: usize, output: usize, stride: usize, run: usize| -> Vec<u8> {
            if input == output {
                return samples.to_vec();
            }
            let weights = Weights::new(filter, input, output);
            let mut out = Vec::new();
            for start in (0..samples.len() / stride).map(|line| line * stride) {
                for index in 0..output {
                    let (first, taps) = weights.of(index);
                    for offset in 0..run {
                        let sample = |tap: usize| i64::from(samples[start + (first + tap) * run + offset]);
                        let sum: i64 =
                            taps.iter().enumerate().map(|(tap, &weight)| i64::from(weight) * sample(tap)).sum();
                        out.push(((sum + (1 << (weights.bits - 1))) >> weights.bits).clamp(0, 255) as u8);
                    }
                }
            }
            out
        };
        let (rows, columns) = (image.height() as usize, image.width() as usize);
        let wide = pass(image.data(), columns, width, columns * 3, 3);
        pass(&wide, rows, height, rows * width * 3, width * 3)
    }

    fn noise(height: u32, width: u32, mut state: u32) -> Rgb {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        Rgb::new(width, height, (0..height * width * 3).map(|_| next()).collect()).unwrap()
    }

    #[test]
    fn all_shapes_match_scalar_sums() {
        let sides = [1, 2, 3, 7, 16, 31, 33, 64, 85, 130, 300];
        let mut seed = 0u32;
        for filter in [Resample::Lanczos, Resample::Bicubic, Resample::Bilinear] {
            for step in 0..120 {
                let side = |shift: u32| sides[(step * 7 + shift * 3 + step / (shift + 2)) as usize % sides.len()];
                let (height, width, out_height, out_width) = (side(0), side(1), side(2), side(3));
                seed += 1;
                let image = noise(height, width, seed);
                let found = resize(&image, out_height, out_width, filter).unwrap();
                let wanted = plain(&image, out_height as usize, out_width as usize, filter);
                assert!(found.data() == wanted, "{height}x{width} to {out_height}x{out_width} with {filter:?}");
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_threads() {
        let image = noise(700, 500, 1);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| resize(&image, 300, 1100, Resample::Lanczos).unwrap())
        };
        let one = run(1);
        assert!(run(2) == one && run(5) == one);
    }

    #[test]
    fn nearest_rounding_matches_torch() {
        // torch 2.15, nearest-exact of uint8: at exact ties the result depends on the output size.
        assert_eq!(nearest_samples(2, 109, 112)[54], 0);
        assert_eq!(nearest_samples(4, 82, 85)[20], 0);
        assert_eq!(nearest_samples(2, 165, 167)[82], 1);
        assert_eq!(nearest_samples(22, 1067, 1070)[48], 1);
        assert_eq!(nearest_samples(4, 2, 4), [1, 3]);
    }

    #[test]
    fn oversized_result_is_an_error() {
        let error = resize(&noise(2, 2, 1), u32::MAX, u32::MAX, Resample::Lanczos).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
        // The intermediate image would have 60000 rows of the new width, although only one row is requested.
        let error = resize(&noise(60_000, 1, 1), 1, 60_000, Resample::Lanczos).unwrap_err();
        assert!(matches!(error, Error::Limit { found: 3_600_000_000, .. }), "{error}");
    }
}
