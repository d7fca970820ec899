//! 8-bit resizing, bit for bit as torchvision does it: horizontal pass, rounding to 8 bits, vertical pass.
//!
//! Both passes run over lanes that lie next to each other in memory, so the compiler turns their inner loops into vector
//! code; `pulp` picks the widest instruction set at run time.

use crate::kernel::{Filter, Weights};
use crate::{Error, Rgb};
use pulp::Arch;
use rayon::prelude::*;
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
    /// The pixels of an image, not copied.
    pub(crate) fn new(image: &'a Rgb) -> Self {
        let (height, width) = (image.height() as usize, image.width() as usize);
        Self { height, width, data: Cow::Borrowed(image.data()) }
    }
}

const CHANNELS: usize = 3;
/// Rows that the horizontal pass handles together: their samples of one column make one run of lanes.
const ROWS: usize = 16;
const LANES: usize = ROWS * CHANNELS;
/// Bytes of a row that the vertical pass sums at once.
const BLOCK: usize = 128;

/// Resizes an image to `height` x `width` pixels with one of the filters of the reference, in its 8-bit arithmetic. An axis
/// that keeps its size is left alone.
///
/// # Errors
///
/// [`Error::Resample`] for a filter that the reference has no 8-bit kernel for, [`Error::EmptyImage`] when a side is zero.
pub fn resize(image: &Rgb, height: u32, width: u32, filter: Resample) -> Result<Rgb, Error> {
    if let Some(&(height, width)) =
        [(image.height(), image.width()), (height, width)].iter().find(|(height, width)| *height == 0 || *width == 0)
    {
        return Err(Error::EmptyImage { height, width });
    }
    let plane = Plane::new(image);
    let out = resize_plane(plane, (height as usize, width as usize), filter)?;
    Rgb::new(width, height, out.data.into_owned())
}

/// Resizes to `height` x `width`. An axis that keeps its size is left alone.
///
/// # Errors
///
/// [`Error::Resample`] for a filter that the reference has no 8-bit kernel for.
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
    let image =
        if image.width == width { image } else { horizontal(&image, &Weights::new(filter, image.width, width)) };
    Ok(if image.height == height { image } else { vertical(&image, &Weights::new(filter, image.height, height)) })
}

/// Resizes rows: transposes a band of rows into lanes per column, sums columns, and transposes back.
fn horizontal<'a>(image: &Plane<'_>, weights: &Weights) -> Plane<'a> {
    let (row, out_row) = (image.width * CHANNELS, weights.len() * CHANNELS);
    let mut data = vec![0; image.height * out_row];
    let arch = Arch::new();
    data.par_chunks_mut(ROWS * out_row).zip(image.data.par_chunks(ROWS * row)).for_each_init(
        || vec![0u8; image.width * LANES],
        |lanes, (out, band)| {
            arch.dispatch(
                #[inline(always)]
                || horizontal_band(band, row, lanes, out, out_row, weights),
            );
        },
    );
    Plane { height: image.height, width: weights.len(), data: Cow::Owned(data) }
}

#[inline(always)]
fn horizontal_band(band: &[u8], row: usize, lanes: &mut [u8], out: &mut [u8], out_row: usize, weights: &Weights) {
    for (index, samples) in band.chunks_exact(row).enumerate() {
        let columns = lanes.chunks_exact_mut(LANES).zip(samples.chunks_exact(CHANNELS));
        for (column, sample) in columns {
            column[index * CHANNELS..][..CHANNELS].copy_from_slice(sample);
        }
    }
    let (columns, _) = lanes.as_chunks::<LANES>();
    for x in 0..weights.len() {
        let (first, taps) = weights.of(x);
        let mut sums = [1i32 << (weights.bits - 1); LANES];
        for (column, &tap) in columns[first..].iter().zip(taps) {
            for (sum, &sample) in sums.iter_mut().zip(column) {
                *sum += i32::from(sample) * i32::from(tap);
            }
        }
        let bytes = sums.map(|sum| (sum >> weights.bits).clamp(0, 255) as u8);
        for (index, samples) in out.chunks_exact_mut(out_row).enumerate() {
            samples[x * CHANNELS..][..CHANNELS].copy_from_slice(&bytes[index * CHANNELS..][..CHANNELS]);
        }
    }
}

/// Resizes columns: every output row is a weighted sum of input rows.
fn vertical<'a>(image: &Plane<'_>, weights: &Weights) -> Plane<'a> {
    let row = image.width * CHANNELS;
    let mut data = vec![0; weights.len() * row];
    let arch = Arch::new();
    data.par_chunks_mut(row).enumerate().for_each(|(y, out)| {
        let (first, taps) = weights.of(y);
        arch.dispatch(
            #[inline(always)]
            || vertical_row(&image.data[first * row..], row, taps, weights.bits, out),
        );
    });
    Plane { height: weights.len(), width: image.width, data: Cow::Owned(data) }
}

#[inline(always)]
fn vertical_row(rows: &[u8], row: usize, taps: &[i16], bits: u32, out: &mut [u8]) {
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    for (index, block) in blocks.iter_mut().enumerate() {
        let mut sums = [1i32 << (bits - 1); BLOCK];
        for (samples, &tap) in rows.chunks_exact(row).zip(taps) {
            for (sum, &sample) in sums.iter_mut().zip(&samples[index * BLOCK..][..BLOCK]) {
                *sum += i32::from(sample) * i32::from(tap);
            }
        }
        *block = sums.map(|sum| (sum >> bits).clamp(0, 255) as u8);
    }
    let start = row - rest.len();
    for (offset, byte) in rest.iter_mut().enumerate() {
        let samples = rows.chunks_exact(row).zip(taps);
        let products = samples.map(|(samples, &tap)| i32::from(samples[start + offset]) * i32::from(tap));
        *byte = ((products.sum::<i32>() + (1 << (bits - 1))) >> bits).clamp(0, 255) as u8;
    }
}

/// Takes the sample at `floor((i + 0.5) * scale)` in f32: torch's `nearest-exact`, which is what the reference resizes with.
fn nearest<'a>(image: &Plane<'_>, height: usize, width: usize) -> Plane<'a> {
    let sources = |input: usize, output: usize| {
        let scale = input as f32 / output as f32;
        (0..output).map(move |index| (((index as f32 + 0.5) * scale) as usize).min(input - 1))
    };
    let row = image.width * CHANNELS;
    let mut data = Vec::with_capacity(height * width * CHANNELS);
    for y in sources(image.height, height) {
        let samples = &image.data[y * row..][..row];
        for x in sources(image.width, width) {
            data.extend_from_slice(&samples[x * CHANNELS..][..CHANNELS]);
        }
    }
    Plane { height, width, data: Cow::Owned(data) }
}

#[cfg(test)]
mod tests {
    use super::resize;
    use crate::{Error, Rgb};
    use smolvlm_config::Resample;

    /// One channel in, one channel out: the others repeat it.
    fn grey(rows: &[&[u8]], size: (u32, u32)) -> Vec<Vec<u8>> {
        let data: Vec<u8> = rows.iter().flat_map(|row| row.iter().flat_map(|&v| [v; 3])).collect();
        let image = Rgb::new(rows[0].len() as u32, rows.len() as u32, data).unwrap();
        let out = resize(&image, size.0, size.1, Resample::Lanczos).unwrap();
        let pixels: Vec<u8> =
            out.data().chunks_exact(3).inspect(|p| assert!(p[0] == p[1] && p[1] == p[2])).map(|p| p[0]).collect();
        pixels.chunks_exact(size.1 as usize).map(<[u8]>::to_vec).collect()
    }

    const SAMPLE: [&[u8]; 3] = [&[0, 10, 200, 255], &[30, 60, 90, 120], &[255, 0, 255, 0]];

    #[test]
    fn small_cases_as_torchvision_has_them() {
        assert_eq!(grey(&SAMPLE, (2, 2)), [[18, 175], [119, 94]]);
        assert_eq!(
            grey(&SAMPLE, (5, 6)),
            [
                [9, 0, 28, 184, 255, 255],
                [0, 6, 49, 126, 199, 224],
                [28, 41, 66, 84, 109, 122],
                [183, 91, 36, 179, 119, 26],
                [255, 115, 10, 255, 155, 0]
            ]
        );
        assert_eq!(grey(&SAMPLE, (3, 4)), SAMPLE.map(<[u8]>::to_vec));
    }

    #[test]
    fn a_row_wider_than_a_block_is_one_colour_throughout() {
        let wide = vec![77u8; 1000];
        assert!(grey(&[&wide, &wide, &wide], (7, 333)).iter().flatten().all(|&value| value == 77));
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
}
