//! The JPEG decoder.

use super::coefficients::Coefficients;
use super::color::Color;
use super::entropy::{Block, Entropy, Mcu};
use super::error::{JpegError, ReadError};
use super::frame::{Frame, Layout, MAX_MCU_BLOCKS, Process, ScanHeader};
use super::lossless;
use super::output::Output;
use super::progress::{Progress, Smoothing};
use super::segments::{Event, Headers};
use super::smooth::smooth;
use super::source::Source;
use crate::simd::{Simd, Work, dispatch};

/// Maximum number of scans per file. Encoders write about ten; refining 64 coefficients bit by bit takes fewer than
/// this.
pub(crate) const MAX_SCANS: u32 = 1000;
/// Maximum number of blocks visited by all scans of a file, which takes a few seconds. Ten scans of the largest image
/// within the default limits visit 63 million.
const MAX_VISITS: u64 = 1 << 30;

/// A file whose headers up to the first scan have been parsed.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) headers: Headers,
    pub(crate) frame: Frame,
    pub(crate) color: Color,
}

impl<'a> Decoder<'a> {
    /// Parses the headers up to the first scan. Without `color`, the color space is taken from the file.
    ///
    /// # Errors
    ///
    /// Files that the reference rejects.
    pub(crate) fn open(mut source: Source<'a>, color: Option<Color>) -> Result<(Self, ScanHeader), JpegError> {
        let mut headers = Headers::default();
        let scan = loop {
            match headers.read(&mut source).map_err(ReadError::into_error)? {
                Event::Scan(scan) => break scan,
                // A tables-only datastream before the image.
                Event::End if headers.frame.is_none() => headers.begin_again(),
                Event::End => return Err(JpegError::NoScan),
            }
        };
        let mut frame = headers.frame.clone().ok_or(JpegError::NoScan)?;
        frame.lay_out()?;
        let color = color
            .or_else(|| Color::new(&frame, headers.color))
            .ok_or(JpegError::Unsupported("the color space of this JPEG image"))?;
        Ok((Self { source, headers, frame, color }, scan))
    }

    /// Decodes all scans to RGB, `[height, width, 3]`, or to samples of the color space.
    ///
    /// # Errors
    ///
    /// Files that the reference rejects, and those whose scans take too long.
    pub(crate) fn pixels(self, scan: ScanHeader) -> Result<Vec<u8>, JpegError> {
        if self.frame.process == Process::Lossless {
            lossless::decode(self, scan)
        } else if self.frame.process == Process::Progressive || scan.slots.len() < self.frame.components.len() {
            self.many_scans(scan)
        } else {
            self.one_scan(scan)
        }
    }

    /// Prepares a scan. The quantization tables of a component are those defined when its first scan starts.
    fn start(&mut self, scan: &ScanHeader) -> Result<(Layout, Entropy), JpegError> {
        let layout = Layout::new(&self.frame, scan)?;
        for slot in &scan.slots {
            let component = &mut self.frame.components[slot.component];
            if component.quantization.is_none() {
                let table = self.headers.tables.quantization.get(usize::from(component.quantizer)).copied().flatten();
                let missing = JpegError::MissingTable("quantization", component.quantizer);
                component.quantization = Some(table.ok_or(missing)?);
            }
        }
        let entropy = Entropy::new(&self.headers.tables, &self.frame, scan)?;
        Ok((layout, entropy))
    }

    /// Decodes a single-scan file, keeping only a few MCU rows in memory.
    fn one_scan(mut self, scan: ScanHeader) -> Result<Vec<u8>, JpegError> {
        let (layout, mut entropy) = self.start(&scan)?;
        let steps = self.steps();
        let mut output = Output::new(&self.frame, self.color);
        for row in 0..self.frame.mcu_rows() {
            let mut result = Ok(());
            dispatch(DecodeRow {
                decoder: &mut self,
                scan: &scan,
                layout: &layout,
                entropy: &mut entropy,
                steps: &steps,
                output: &mut output,
                row,
                result: &mut result,
            });
            result?;
        }
        self.finish()?;
        Ok(output.into_pixels())
    }

    /// Checks the data after the image, as far as the reference does: a damaged segment is an error, a missing EOI
    /// marker is not.
    pub(crate) fn finish(&mut self) -> Result<(), JpegError> {
        if !self.source.checks_trailing_data {
            return Ok(());
        }
        self.source.fixed = true;
        match self.headers.read(&mut self.source) {
            Ok(Event::End) | Err(ReadError::Suspended) => Ok(()),
            Ok(Event::Scan(_)) => Err(JpegError::Marker(0xda)),
            Err(ReadError::Invalid(error)) => Err(error),
        }
    }

    /// Decodes a multi-scan file: first all coefficients, then the pixels.
    fn many_scans(mut self, first: ScanHeader) -> Result<Vec<u8>, JpegError> {
        let mut coefficients = Coefficients::new(&self.frame);
        let mut progress = Progress::new(&self.frame);
        let mut visits = 0;
        let mut scan = first;
        loop {
            let (layout, mut entropy) = self.start(&scan)?;
            progress.scan(&self.frame, &scan);
            for slot in &scan.slots {
                let component = &self.frame.components[slot.component];
                visits += component.units_x as u64 * component.units_y as u64;
            }
            if scan.number > MAX_SCANS || visits > MAX_VISITS {
                return Err(JpegError::TooManyScans { scans: scan.number, blocks: visits });
            }
            let last_row = self.scan(&scan, &layout, &mut entropy, &mut coefficients);
            progress.last_row = last_row.map_err(ReadError::into_error)?.unwrap_or(progress.last_row);
            match self.headers.read(&mut self.source).map_err(ReadError::into_error)? {
                Event::Scan(next) => scan = next,
                Event::End => break,
            }
        }
        let steps = self.steps();
        let smoothing = progress.missing(&self.frame);
        let mut output = Output::new(&self.frame, self.color);
        for row in 0..self.frame.mcu_rows() {
            let (frame, coefficients, steps, smoothing) = (&self.frame, &coefficients, &steps, smoothing.as_ref());
            dispatch(TransformRow { frame, coefficients, steps, smoothing, output: &mut output, row });
        }
        Ok(output.into_pixels())
    }

    /// Decodes the data of a scan. Returns the last MCU row for which there was data.
    fn scan(
        &mut self,
        scan: &ScanHeader,
        layout: &Layout,
        entropy: &mut Entropy,
        coefficients: &mut Coefficients,
    ) -> Result<Option<usize>, ReadError> {
        let mut last_row = None;
        for row in 0..self.frame.mcu_rows() {
            for inner in 0..layout.rows(&self.frame, scan, row) {
                let indices = coefficients.indices(&self.frame, scan, layout, (row, inner));
                let (source, blocks) = (&mut self.source, &mut coefficients.blocks[..]);
                let mut result = Ok(false);
                dispatch(ReadRow { source, layout, entropy, blocks, indices: &indices, result: &mut result });
                if result? {
                    last_row = Some(row);
                }
            }
        }
        Ok(last_row)
    }

    /// Quantization steps of the components, as 16-bit integers like in libjpeg-turbo; 0 for components without a scan.
    fn steps(&self) -> Vec<Block> {
        let steps = |table: Option<[u16; 64]>| table.unwrap_or([0; 64]).map(|step| step as i16);
        self.frame.components.iter().map(|component| steps(component.quantization)).collect()
    }
}

/// Decodes an MCU row of one of several scans; returns whether there was data.
struct ReadRow<'w, 'a> {
    source: &'w mut Source<'a>,
    layout: &'w Layout,
    entropy: &'w mut Entropy,
    blocks: &'w mut [Block],
    /// See `Coefficients::indices`.
    indices: &'w [(usize, usize)],
    result: &'w mut Result<bool, ReadError>,
}

impl ReadRow<'_, '_> {
    #[inline(always)]
    fn read(&mut self) -> Result<bool, ReadError> {
        let mut has_data = false;
        let mut mcu = Mcu { slots: &self.layout.slot_of, indices: [0; MAX_MCU_BLOCKS], blocks: self.blocks };
        for column in 0..self.layout.columns {
            for (index, &(first, apart)) in mcu.indices.iter_mut().zip(self.indices) {
                *index = first + column * apart;
            }
            has_data |= !self.entropy.is_exhausted();
            while let Err(error) = self.entropy.decode(self.source, &mut mcu) {
                match error {
                    ReadError::Suspended => self.source.grow()?,
                    ReadError::Invalid(error) => return Err(error.into()),
                }
            }
        }
        Ok(has_data)
    }
}

impl Work for ReadRow<'_, '_> {
    #[inline(always)]
    fn run<L: Simd>(mut self, _: L) {
        *self.result = self.read();
    }
}

/// Decodes an MCU row of a single scan and its pixels.
struct DecodeRow<'w, 'a> {
    decoder: &'w mut Decoder<'a>,
    scan: &'w ScanHeader,
    layout: &'w Layout,
    entropy: &'w mut Entropy,
    steps: &'w [Block],
    output: &'w mut Output,
    row: usize,
    result: &'w mut Result<(), JpegError>,
}

impl Work for DecodeRow<'_, '_> {
    #[inline(always)]
    fn run<L: Simd>(self, simd: L) {
        let Decoder { source, frame, .. } = self.decoder;
        let mut blocks = [[0; 64]; MAX_MCU_BLOCKS];
        let count = self.layout.slot_of.len();
        let mut mcu =
            Mcu { slots: &self.layout.slot_of, indices: std::array::from_fn(|index| index), blocks: &mut blocks };
        for inner in 0..self.layout.rows(frame, self.scan, self.row) {
            for column in 0..self.layout.columns {
                loop {
                    mcu.blocks[..count].fill([0; 64]);
                    match self.entropy.decode(source, &mut mcu) {
                        Ok(()) => break,
                        Err(ReadError::Suspended) => {
                            if let Err(error) = source.grow() {
                                *self.result = Err(error);
                                return;
                            }
                        }
                        Err(ReadError::Invalid(error)) => {
                            *self.result = Err(error);
                            return;
                        }
                    }
                }
                let mut blocks = mcu.blocks.iter();
                for (slot, &(across, down)) in self.scan.slots.iter().zip(&self.layout.units) {
                    let component = &frame.components[slot.component];
                    let steps = &self.steps[slot.component];
                    for y in 0..down {
                        for (x, block) in blocks.by_ref().take(across).enumerate() {
                            // MCUs at the edges contain blocks outside the image.
                            let at = (column * across + x, self.row * component.v + inner + y);
                            if at.0 < component.units_x && at.1 < component.units_y {
                                self.output.block(simd, slot.component, at, block, steps);
                            }
                        }
                    }
                }
            }
        }
        self.output.strip_done(simd, self.row);
    }
}

/// Computes the pixels of an MCU row whose coefficients are decoded.
struct TransformRow<'w> {
    frame: &'w Frame,
    coefficients: &'w Coefficients,
    steps: &'w [Block],
    smoothing: Option<&'w Smoothing>,
    output: &'w mut Output,
    row: usize,
}

impl Work for TransformRow<'_> {
    #[inline(always)]
    fn run<L: Simd>(self, simd: L) {
        for (index, component) in self.frame.components.iter().enumerate() {
            let top = self.row * component.v;
            let rows = component.v.min(component.units_y - top);
            for inner in 0..rows {
                for x in 0..component.units_x {
                    let at = (x, top + inner);
                    let block = self.coefficients.block(index, x, top + inner);
                    match (self.smoothing, &component.quantization) {
                        (Some(smoothing), Some(steps)) => {
                            let mut block = *block;
                            let neighbors = self.coefficients.neighbors(self.frame, index, x, (self.row, inner, rows));
                            smooth(&mut block, &neighbors, smoothing.missing(index, self.row), steps);
                            self.output.block(simd, index, at, &block, &self.steps[index]);
                        }
                        _ => self.output.block(simd, index, at, block, &self.steps[index]),
                    }
                }
            }
        }
        self.output.strip_done(simd, self.row);
    }
}
