//! The two passes of a resize. Each output is a weighted sum of inputs, rounded to 8 bits.

use crate::kernel::Weights;
use crate::resize::{CHANNELS, Plane};
use crate::simd::{BLOCK, SQUARE, Simd, Work, dispatch};
use rayon::prelude::*;
use std::borrow::Cow;

/// Rows per horizontal pass step: the bytes of one column form one block.
const ROWS: usize = BLOCK;

/// Output rows per task if both axes are resized: their input rows are resized into a temporary buffer. Neighboring
/// stripes share input rows, about 5 % of them when downscaling.
const STRIPE: usize = 128;

/// Resizes along both axes, rows first.
pub(crate) fn both<'a>(image: &Plane<'_>, across: &Weights, down: &Weights) -> Plane<'a> {
    let (row, out_row) = (image.width * CHANNELS, across.len() * CHANNELS);
    let mut data = vec![0; down.len() * out_row];
    // When upscaling, a stripe needs fewer input rows, and a larger fraction of them is shared.
    let stripe = STRIPE * (down.len() / image.height).max(1);
    data.par_chunks_mut(stripe * out_row).enumerate().for_each_init(
        || (Columns::new(row), Columns::new(out_row), Vec::new()),
        |(columns, out_columns, lines), (index, out)| {
            let outputs = index * stripe..index * stripe + out.len() / out_row;
            let inputs = down.inputs(outputs.clone());
            lines.resize(inputs.len() * out_row, 0);
            let source = &image.data[inputs.start * row..inputs.end * row];
            for (out, band) in lines.chunks_mut(ROWS * out_row).zip(source.chunks(ROWS * row)) {
                dispatch(Band { band, row, columns, weights: across, out_columns, out, out_row });
            }
            for (y, out) in outputs.zip(out.chunks_exact_mut(out_row)) {
                let (first, taps) = down.of(y);
                let rows = &lines[(first - inputs.start) * out_row..];
                dispatch(WeightedSum { rows, taps, bits: down.bits, out });
            }
        },
    );
    Plane { height: down.len(), width: across.len(), data: Cow::Owned(data) }
}

/// Resizes rows.
pub(crate) fn horizontal<'a>(image: &Plane<'_>, weights: &Weights) -> Plane<'a> {
    let (row, out_row) = (image.width * CHANNELS, weights.len() * CHANNELS);
    let mut data = vec![0; image.height * out_row];
    data.par_chunks_mut(ROWS * out_row).zip(image.data.par_chunks(ROWS * row)).for_each_init(
        || (Columns::new(row), Columns::new(out_row)),
        |(columns, out_columns), (out, band)| dispatch(Band { band, row, columns, weights, out_columns, out, out_row }),
    );
    Plane { height: image.height, width: weights.len(), data: Cow::Owned(data) }
}

/// A band of [`ROWS`] rows in column-major order, one block per column; some at the end are unused.
struct Columns(Vec<[u8; ROWS]>);

impl Columns {
    fn new(row: usize) -> Self {
        Self(vec![[0; ROWS]; row.next_multiple_of(BLOCK)])
    }
}

/// Resizes the rows of a band. To sum adjacent bytes, the band is transposed, its columns are summed, and the result is
/// transposed back.
struct Band<'a> {
    band: &'a [u8],
    row: usize,
    columns: &'a mut Columns,
    weights: &'a Weights,
    out_columns: &'a mut Columns,
    out: &'a mut [u8],
    out_row: usize,
}

impl Work for Band<'_> {
    #[inline(always)]
    fn run<L: Simd>(self, simd: L) {
        to_columns(simd, self.band, self.row, &mut self.columns.0);
        let bytes = self.columns.0.as_flattened();
        let (pixels, _) = self.out_columns.0.as_chunks_mut::<CHANNELS>();
        for (x, pixel) in pixels.iter_mut().take(self.weights.len()).enumerate() {
            let (first, taps) = self.weights.of(x);
            for (channel, column) in pixel.iter_mut().enumerate() {
                let start = (first * CHANNELS + channel) * ROWS;
                *column = simd.weighted_sum(&bytes[start..], CHANNELS * ROWS, taps, self.weights.bits);
            }
        }
        to_rows(simd, &self.out_columns.0, self.out, self.out_row);
    }
}

/// Transposes a band of at most [`ROWS`] rows.
#[inline(always)]
fn to_columns<L: Simd>(simd: L, band: &[u8], row: usize, columns: &mut [[u8; ROWS]]) {
    for (half, rows) in band.chunks(SQUARE * row).enumerate() {
        let (blocks, _) = columns.as_chunks_mut::<BLOCK>();
        for (block, columns) in blocks.iter_mut().enumerate() {
            let mut squares = [[0; BLOCK]; SQUARE];
            for (bytes, line) in squares.iter_mut().zip(rows.chunks_exact(row)) {
                let line = &line[block * BLOCK..];
                match line.first_chunk() {
                    Some(whole) => *bytes = *whole,
                    None => bytes[..line.len()].copy_from_slice(line),
                }
            }
            for (index, bytes) in simd.transpose(squares).iter().enumerate() {
                columns[index][half * SQUARE..][..SQUARE].copy_from_slice(&bytes[..SQUARE]);
                columns[index + SQUARE][half * SQUARE..][..SQUARE].copy_from_slice(&bytes[SQUARE..]);
            }
        }
    }
}

/// The inverse of [`to_columns`].
#[inline(always)]
fn to_rows<L: Simd>(simd: L, columns: &[[u8; ROWS]], band: &mut [u8], row: usize) {
    for (half, rows) in band.chunks_mut(SQUARE * row).enumerate() {
        let (blocks, _) = columns.as_chunks::<BLOCK>();
        for (block, columns) in blocks.iter().enumerate() {
            let mut squares = [[0; BLOCK]; SQUARE];
            for (index, bytes) in squares.iter_mut().enumerate() {
                bytes[..SQUARE].copy_from_slice(&columns[index][half * SQUARE..][..SQUARE]);
                bytes[SQUARE..].copy_from_slice(&columns[index + SQUARE][half * SQUARE..][..SQUARE]);
            }
            for (bytes, line) in simd.transpose(squares).iter().zip(rows.chunks_exact_mut(row)) {
                let line = &mut line[block * BLOCK..];
                match line.first_chunk_mut() {
                    Some(whole) => *whole = *bytes,
                    None => line.copy_from_slice(&bytes[..line.len()]),
                }
            }
        }
    }
}

/// Resizes columns: each output row is a weighted sum of input rows.
pub(crate) fn vertical<'a>(image: &Plane<'_>, weights: &Weights) -> Plane<'a> {
    let row = image.width * CHANNELS;
    let mut data = vec![0; weights.len() * row];
    data.par_chunks_mut(row).enumerate().for_each(|(y, out)| {
        let (first, taps) = weights.of(y);
        dispatch(WeightedSum { rows: &image.data[first * row..], taps, bits: weights.bits, out });
    });
    Plane { height: weights.len(), width: image.width, data: Cow::Owned(data) }
}

struct WeightedSum<'a> {
    rows: &'a [u8],
    taps: &'a [i16],
    bits: u32,
    out: &'a mut [u8],
}

impl Work for WeightedSum<'_> {
    #[inline(always)]
    fn run<L: Simd>(self, simd: L) {
        let row = self.out.len();
        let (blocks, rest) = self.out.as_chunks_mut::<BLOCK>();
        for (index, block) in blocks.iter_mut().enumerate() {
            *block = simd.weighted_sum(&self.rows[index * BLOCK..], row, self.taps, self.bits);
        }
        let start = row - rest.len();
        for (offset, byte) in rest.iter_mut().enumerate() {
            let samples = self.rows.chunks_exact(row).zip(self.taps);
            let products = samples.map(|(samples, &tap)| i32::from(samples[start + offset]) * i32::from(tap));
            *byte = ((products.sum::<i32>() + (1 << (self.bits - 1))) >> self.bits).clamp(0, 255) as u8;
        }
    }
}
