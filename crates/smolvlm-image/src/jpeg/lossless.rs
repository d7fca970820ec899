//! Lossless frames: Huffman-coded differences between samples and their predictions (ITU-T T.81, annex H).

use super::color::Color;
use super::decoder::{Decoder, MAX_SCANS};
use super::error::{JpegError, ReadError};
use super::frame::{Frame, Layout, ScanHeader};
use super::huffman::{Bits, ReadBits, Table, extend};
use super::output::Output;
use super::restarts::Restarts;
use super::segments::{Event, Tables};
use super::source::Source;
use crate::simd::{Simd, Work, dispatch};

/// Maximum category of a difference; it represents 32768 and has no additional bits.
const MAX_CATEGORY: u8 = 16;

/// Decodes a file from its first scan.
pub(crate) fn decode(mut decoder: Decoder<'_>, first: ScanHeader) -> Result<Vec<u8>, JpegError> {
    // The reference does not convert colors of lossless frames.
    if matches!(decoder.color, Color::YCbCr | Color::Ycck) {
        return Err(JpegError::Unsupported("a lossless JPEG image that is not in gray, RGB or CMYK"));
    }
    let several = first.slots.len() < decoder.frame.components.len();
    let mut output = Output::whole(&decoder.frame, decoder.color);
    let mut found = vec![false; decoder.frame.components.len()];
    let mut scan = first;
    loop {
        scan.slots.iter().for_each(|slot| found[slot.component] = true);
        let Decoder { source, headers, frame, .. } = &mut decoder;
        read(source, &headers.tables, frame, &scan, &mut output).map_err(ReadError::into_error)?;
        if !several {
            decoder.finish()?;
            break;
        }
        match headers.read(source).map_err(ReadError::into_error)? {
            Event::Scan(next) if next.number <= MAX_SCANS => scan = next,
            Event::Scan(next) => return Err(JpegError::TooManyScans { scans: next.number, blocks: 0 }),
            Event::End if found.contains(&false) => return Err(JpegError::NoScan),
            Event::End => break,
        }
    }
    dispatch(Pixels { output: &mut output, strips: decoder.frame.mcu_rows() });
    Ok(output.into_pixels())
}

/// Converts all samples to pixels.
struct Pixels<'w> {
    output: &'w mut Output,
    strips: usize,
}

impl Work for Pixels<'_> {
    #[inline(always)]
    fn run<L: Simd>(self, simd: L) {
        for strip in 0..self.strips {
            self.output.strip_done(simd, strip);
        }
    }
}

/// Decodes a scan.
fn read(
    source: &mut Source<'_>,
    tables: &Tables,
    frame: &Frame,
    scan: &ScanHeader,
    output: &mut Output,
) -> Result<(), ReadError> {
    let &ScanHeader { ss, se, ah, al, .. } = scan;
    if !(1..=7).contains(&ss) || se != 0 || ah != 0 || al > 7 {
        return Err(JpegError::ScanParameters(ss, se, ah, al).into());
    }
    let layout = Layout::new(frame, scan)?;
    let interval = tables.restart_interval as usize;
    if !interval.is_multiple_of(layout.columns) {
        return Err(JpegError::Segment("restart interval").into());
    }
    let mut differences = Differences::new(tables, frame, scan, &layout)?;
    let mut restarts = Restarts::new((interval / layout.columns) as u32);
    let mut lines: Vec<Line> =
        scan.slots.iter().map(|slot| Line::new(frame.components[slot.component].units_x)).collect();
    for row in 0..frame.mcu_rows() {
        for inner in 0..layout.rows(frame, scan, row) {
            let mut fresh = false;
            if restarts.due() {
                differences.bits.restart(source, &mut restarts)?;
                fresh = true;
            }
            // Without data, the differences are zero and prediction restarts.
            fresh |= differences.bits.exhausted;
            if fresh {
                lines.iter_mut().for_each(|line| line.fresh = true);
            }
            differences.read_row(source, &layout, inner)?;
            restarts.count();
        }
        for ((slot, line), rows) in scan.slots.iter().zip(&mut lines).zip(&differences.rows) {
            let component = &frame.components[slot.component];
            let top = row * component.v;
            for (inner, differences) in rows.iter().enumerate().take(component.units_y - top) {
                line.add(differences, ss, al);
                let samples = output.planes[slot.component].row_mut(top + inner);
                for (sample, &value) in samples.iter_mut().zip(&line.values) {
                    *sample = (value << al) as u8;
                }
            }
        }
    }
    Ok(())
}

/// Reads differences.
struct Differences {
    bits: Bits,
    /// Huffman tables of the components of the scan.
    tables: Vec<Table>,
    /// Differences of an MCU row, by component of the scan, row and column.
    rows: Vec<Vec<Vec<i32>>>,
}

impl Differences {
    fn new(tables: &Tables, frame: &Frame, scan: &ScanHeader, layout: &Layout) -> Result<Self, JpegError> {
        let table = |number: u8| {
            let spec = tables.dc.get(usize::from(number)).and_then(Option::as_ref);
            Table::new(spec.ok_or(JpegError::MissingTable("Huffman", number))?, Some(MAX_CATEGORY))
        };
        let rows = scan
            .slots
            .iter()
            .zip(&layout.units)
            .map(|(slot, &(across, _))| vec![vec![0; layout.columns * across]; frame.components[slot.component].v]);
        Ok(Self {
            bits: Bits::default(),
            tables: scan.slots.iter().map(|slot| table(slot.dc)).collect::<Result<_, _>>()?,
            rows: rows.collect(),
        })
    }

    /// Decodes an MCU row of the scan.
    fn read_row(&mut self, source: &mut Source<'_>, layout: &Layout, inner: usize) -> Result<(), ReadError> {
        if self.bits.exhausted {
            for (rows, &(_, down)) in self.rows.iter_mut().zip(&layout.units) {
                rows[inner..inner + down].iter_mut().for_each(|row| row.fill(0));
            }
            return Ok(());
        }
        let mut bits = self.bits.reader(source);
        for column in 0..layout.columns {
            for ((rows, table), &(across, down)) in self.rows.iter_mut().zip(&self.tables).zip(&layout.units) {
                for row in &mut rows[inner..inner + down] {
                    for difference in &mut row[column * across..(column + 1) * across] {
                        *difference = match bits.symbol(table)? {
                            0 => 0,
                            MAX_CATEGORY => 1 << 15,
                            size => extend(bits.take(size.into())?, size.into()),
                        };
                    }
                }
            }
        }
        Ok(())
    }
}

/// The most recent row of a component.
struct Line {
    values: Vec<u16>,
    /// Whether the next row is the first of a scan or interval.
    fresh: bool,
}

impl Line {
    fn new(width: usize) -> Self {
        Self { values: vec![0; width], fresh: true }
    }

    /// Replaces the row by the next one. `predictor` is a selection value of table H.1, `shift` the point transform.
    fn add(&mut self, differences: &[i32], predictor: u8, shift: u8) {
        let fresh = std::mem::replace(&mut self.fresh, false);
        // Left, above, and above left.
        let (mut a, mut c) = (0i32, 0i32);
        for (x, (value, difference)) in self.values.iter_mut().zip(differences).enumerate() {
            let b = i32::from(*value);
            let predicted = match predictor {
                _ if x == 0 && fresh => 1 << (7 - shift),
                _ if x == 0 => b,
                _ if fresh => a,
                1 => a,
                2 => b,
                3 => c,
                4 => a + b - c,
                5 => a + ((b - c) >> 1),
                6 => b + ((a - c) >> 1),
                _ => (a + b) >> 1,
            };
            *value = (predicted + difference) as u16;
            (a, c) = (i32::from(*value), b);
        }
    }
}
