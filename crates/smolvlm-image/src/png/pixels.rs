//! Decoding of PNG pixels (PNG, third edition, sections 7 to 10), row by row, so that memory contains little more than
//! the RGB image.

use crate::color::RowFormat;
use flate2::{Decompress, FlushDecompress, Status};

/// First column and row of the seven interlacing passes, and their strides.
const PASSES: [(usize, usize, usize, usize); 7] =
    [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

/// Decodes to interleaved RGB.
pub(super) fn decode(
    width: usize,
    height: usize,
    format: &RowFormat,
    interlaced: bool,
    data: &[&[u8]],
) -> Result<Vec<u8>, String> {
    let mut inflate = Inflate { data, at: 0, state: Decompress::new(true), ended: false };
    let mut rgb = vec![0; 3 * width * height];
    let bytes = format.bits().div_ceil(8);
    let mut scratch = Vec::new();
    if interlaced {
        let mut pixels = vec![0; 3 * width];
        for (left, top, step_x, step_y) in PASSES {
            let columns = width.saturating_sub(left).div_ceil(step_x);
            if columns == 0 {
                continue;
            }
            let pixels = &mut pixels[..3 * columns];
            let mut rows = Rows::new(format.row_bytes(columns), bytes);
            for y in (top..height).step_by(step_y) {
                format.convert(rows.next(&mut inflate)?, &mut scratch, pixels);
                let targets =
                    rgb[3 * width * y..][..3 * width].as_chunks_mut::<3>().0[left..].iter_mut().step_by(step_x);
                targets.zip(pixels.as_chunks().0).for_each(|(target, pixel)| *target = *pixel);
            }
        }
    } else {
        let mut rows = Rows::new(format.row_bytes(width), bytes);
        for pixels in rgb.chunks_exact_mut(3 * width) {
            format.convert(rows.next(&mut inflate)?, &mut scratch, pixels);
        }
    }
    inflate.finish()?;
    Ok(rgb)
}

/// The compressed pixels.
struct Inflate<'a> {
    data: &'a [&'a [u8]],
    /// Number of consumed bytes of the first piece.
    at: usize,
    state: Decompress,
    /// Whether the stream ended early at the end of a row: the reference leaves the missing rows zero.
    ended: bool,
}

impl Inflate<'_> {
    /// Decompresses until `row` is full.
    fn read(&mut self, row: &mut [u8]) -> Result<(), String> {
        let mut filled = 0;
        while filled < row.len() && !self.ended {
            let (status, written) = self.step(&mut row[filled..])?;
            filled += written;
            if status == Status::StreamEnd && filled < row.len() {
                if filled > 0 {
                    return Err("the pixels end within a row".into());
                }
                self.ended = true;
            } else if written == 0 && self.data.is_empty() {
                return Err("the file is truncated".into());
            }
        }
        if self.ended {
            row.fill(0);
        }
        Ok(())
    }

    /// Compares the checksum at the end of the stream, if it is in the chunk where the pixels end: the reference reads
    /// no further chunk. Data after the pixels is ignored.
    fn finish(mut self) -> Result<(), String> {
        let pieces = self.data.len();
        while !self.ended && !self.data.is_empty() && self.data.len() == pieces {
            let (status, written) = self.step(&mut [0])?;
            self.ended = status == Status::StreamEnd || written > 0;
        }
        Ok(())
    }

    /// Decompresses from one piece, or from buffered data, into `out`. Returns the number of bytes written.
    fn step(&mut self, out: &mut [u8]) -> Result<(Status, usize), String> {
        let piece = self.data.first().copied().unwrap_or_default();
        let (read, written) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(&piece[self.at..], out, FlushDecompress::None);
        let status = status.map_err(|_| "the compressed pixels are damaged")?;
        self.at += (self.state.total_in() - read) as usize;
        let written = (self.state.total_out() - written) as usize;
        // A piece is finished when it is empty and no decompressed data is buffered.
        if self.at == piece.len() && written < out.len() {
            (self.data, self.at) = (self.data.get(1..).unwrap_or_default(), 0);
        }
        Ok((status, written))
    }
}

/// Unfiltered rows of an image or pass.
struct Rows {
    /// The filter type of the row and its bytes.
    row: Vec<u8>,
    /// The previous row, after as many bytes as the filter type takes.
    above: Vec<u8>,
    /// Bytes per pixel, at least 1.
    bytes: usize,
}

impl Rows {
    fn new(row_bytes: usize, bytes: usize) -> Self {
        Self { row: vec![0; row_bytes + 1], above: vec![0; row_bytes + 1], bytes }
    }

    fn next(&mut self, inflate: &mut Inflate<'_>) -> Result<&[u8], String> {
        std::mem::swap(&mut self.row, &mut self.above);
        inflate.read(&mut self.row)?;
        let (&filter, _) = self.row.split_first().ok_or("a row has no filter")?;
        let (row, above) = (&mut self.row[1..], &self.above[1..]);
        match self.bytes {
            1 => unfilter::<1>(filter, row, above),
            2 => unfilter::<2>(filter, row, above),
            3 => unfilter::<3>(filter, row, above),
            4 => unfilter::<4>(filter, row, above),
            6 => unfilter::<6>(filter, row, above),
            _ => unfilter::<8>(filter, row, above),
        }?;
        Ok(&self.row[1..])
    }
}

/// Reverses the filter of a row with `N` bytes per pixel.
fn unfilter<const N: usize>(filter: u8, row: &mut [u8], above: &[u8]) -> Result<(), String> {
    let (pixels, above_pixels) = (row.as_chunks_mut::<N>().0, above.as_chunks::<N>().0);
    let mut left = [0u8; N];
    match filter {
        0 => {}
        1 => {
            for pixel in pixels {
                *pixel = std::array::from_fn(|at| pixel[at].wrapping_add(left[at]));
                left = *pixel;
            }
        }
        2 => row.iter_mut().zip(above).for_each(|(byte, up)| *byte = byte.wrapping_add(*up)),
        3 => {
            for (pixel, up) in pixels.iter_mut().zip(above_pixels) {
                let mean = |at: usize| ((u16::from(left[at]) + u16::from(up[at])) / 2) as u8;
                *pixel = std::array::from_fn(|at| pixel[at].wrapping_add(mean(at)));
                left = *pixel;
            }
        }
        4 => {
            let mut corner = [0u8; N];
            for (pixel, up) in pixels.iter_mut().zip(above_pixels) {
                *pixel = std::array::from_fn(|at| pixel[at].wrapping_add(paeth(left[at], up[at], corner[at])));
                (left, corner) = (*pixel, *up);
            }
        }
        _ => return Err(format!("filter {filter} is unknown")),
    }
    Ok(())
}

/// The Paeth predictor: whichever of the three is closest to `left + up - corner`.
fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let [a, b, c] = [left, up, corner].map(i16::from);
    let (to_left, to_up, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if to_left <= to_up && to_left <= to_corner {
        left
    } else if to_up <= to_corner {
        up
    } else {
        corner
    }
}
