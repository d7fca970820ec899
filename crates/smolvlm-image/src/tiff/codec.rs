//! Decompression and predictors of strips and tiles.

use super::jpeg::Jpegs;
use super::layout::Layout;
use super::{fax, tag};
use crate::color::{RowFormat, Samples};
use crate::lzw::{Codes, Lzw};
use crate::orientation::Directory;
use std::io::{self, Cursor, Read};

/// Decoding parameters of strips and tiles.
pub(super) struct Coding<'a> {
    compression: Compression<'a>,
    /// Whether the bit order within bytes is reversed.
    reversed: bool,
}

enum Compression<'a> {
    None,
    Fax(fax::Kind),
    Lzw,
    Jpeg(Jpegs<'a>),
    Deflate,
    PackBits,
    Zstandard,
}

impl<'a> Coding<'a> {
    pub(super) fn read(directory: &Directory<'a>, photometric: u64, channels: usize) -> Result<Self, String> {
        let number = |tag: u16| directory.unsigned(tag).and_then(|values| values.first().copied());
        let planar = number(tag::PLANAR) == Some(2) && channels > 1;
        let t4_options = number(tag::T4_OPTIONS).unwrap_or(0);
        let compression = match number(tag::COMPRESSION).unwrap_or(1) {
            1 => Compression::None,
            2 => Compression::Fax(fax::Kind::RunLengths),
            3 if t4_options & 1 == 0 => Compression::Fax(fax::Kind::Group3),
            3 => Compression::Fax(fax::Kind::Group3TwoDimensional),
            4 => Compression::Fax(fax::Kind::Group4),
            5 => Compression::Lzw,
            7 => {
                let tables = directory.field(tag::JPEG_TABLES).map_or(&[][..], |field| field.data);
                Compression::Jpeg(Jpegs::new(tables, photometric, if planar { 1 } else { channels })?)
            }
            8 | 32_946 => Compression::Deflate,
            32_773 => Compression::PackBits,
            50_000 => Compression::Zstandard,
            number => return Err(format!("compression {number} is unknown")),
        };
        let is_full = directory.unsigned(tag::YCBCR_SUBSAMPLING).is_some_and(|factors| factors == [1, 1]);
        let converts = match &compression {
            Compression::None => true,
            Compression::Jpeg(jpegs) => jpegs.gives_rgb(),
            _ => false,
        };
        if photometric == 6 && channels > 1 && !is_full && !converts {
            return Err("subsampled YCbCr is known only where it is compressed as JPEG".into());
        }
        let bits = number(tag::BITS).unwrap_or(1);
        if matches!(compression, Compression::Fax(_)) && (bits != 1 || channels != 1) {
            return Err("fax compression is for one bit".into());
        }
        if matches!(compression, Compression::Jpeg(..)) && bits != 8 {
            return Err("JPEG compression is for 8 bits".into());
        }
        let reversed = number(tag::FILL_ORDER) == Some(2) && !matches!(compression, Compression::Jpeg(..));
        Ok(Self { compression, reversed })
    }

    /// Whether rows are uncompressed.
    pub(super) fn is_raw(&self) -> bool {
        matches!(self.compression, Compression::None)
    }

    /// Whether decoded rows are RGB, whatever the directory specifies.
    pub(super) fn gives_rgb(&self) -> bool {
        matches!(&self.compression, Compression::Jpeg(jpegs) if jpegs.gives_rgb())
    }

    /// A reader of the rows of a strip or tile.
    pub(super) fn reader<'d>(&self, data: &'d [u8], width: usize, rows: usize) -> Result<Box<dyn Read + 'd>, String> {
        let source: Box<dyn Read + 'd> = if self.reversed { Box::new(Reversed(data)) } else { Box::new(data) };
        Ok(match &self.compression {
            Compression::None => source,
            Compression::Fax(kind) => {
                let reversed: Vec<u8>;
                let data = if self.reversed {
                    reversed = data.iter().map(|byte| byte.reverse_bits()).collect();
                    &reversed
                } else {
                    data
                };
                Box::new(Cursor::new(fax::decode(*kind, data, width, rows)?))
            }
            Compression::Lzw if self.reversed => {
                Box::new(Lzw::new(data.iter().map(|byte| byte.reverse_bits()), Codes::Tiff))
            }
            Compression::Lzw => Box::new(Lzw::new(data.iter().copied(), Codes::Tiff)),
            Compression::Jpeg(jpegs) => Box::new(Cursor::new(jpegs.rows(data, width, rows)?)),
            Compression::Deflate => Box::new(flate2::read::ZlibDecoder::new(source)),
            Compression::PackBits => Box::new(PackBits { source: io::BufReader::new(source), run: Run::Copy(0) }),
            Compression::Zstandard => {
                Box::new(ruzstd::decoding::StreamingDecoder::new(source).map_err(|error| error.to_string())?)
            }
        })
    }
}

/// Reverses the bits of each byte.
struct Reversed<'a>(&'a [u8]);

impl Read for Reversed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(out)?;
        out[..count].iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        Ok(count)
    }
}

/// PackBits decompression (TIFF 6.0, section 9).
struct PackBits<R> {
    source: R,
    run: Run,
}

/// Remainder of the current run.
enum Run {
    Copy(usize),
    Repeat(u8, usize),
}

impl<R: Read> Read for PackBits<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while matches!(self.run, Run::Copy(0) | Run::Repeat(_, 0)) {
            let mut byte = [0];
            if self.source.read(&mut byte)? == 0 {
                return Ok(0);
            }
            self.run = match byte[0] as i8 {
                -128 => continue,
                count @ 0.. => Run::Copy(count as usize + 1),
                count => {
                    self.source.read_exact(&mut byte)?;
                    Run::Repeat(byte[0], 1 + usize::from(count.unsigned_abs()))
                }
            };
        }
        match &mut self.run {
            Run::Copy(left) => {
                let count = out.len().min(*left);
                let count = self.source.read(&mut out[..count])?;
                *left -= count;
                Ok(count)
            }
            Run::Repeat(byte, left) => {
                let count = out.len().min(*left);
                out[..count].fill(*byte);
                *left -= count;
                Ok(count)
            }
        }
    }
}

/// Predictor of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    /// Difference to the sample on the left (TIFF 6.0, section 14).
    Horizontal,
    /// Difference to the byte on the left, in byte planes of floating-point numbers (Adobe's technical note 3).
    FloatingPoint,
}

impl Predictor {
    /// Compressions without a predictor ignore it.
    pub(super) fn read(number: u64, coding: &Coding<'_>, layout: &Layout) -> Result<Self, String> {
        match (number, &coding.compression, layout.bits) {
            (_, Compression::None | Compression::Fax(_) | Compression::Jpeg(..) | Compression::PackBits, _) => {
                Ok(Self::None)
            }
            (0 | 1, ..) => Ok(Self::None),
            (2, _, 8 | 16 | 32) => Ok(Self::Horizontal),
            (3, ..) if layout.is_float() => Ok(Self::FloatingPoint),
            (.., bits) => Err(format!("predictor {number} of these samples of {bits} bits is unknown")),
        }
    }

    /// Reverses the predictor of a row.
    pub(super) fn undo(self, row: &mut [u8], format: &RowFormat) {
        let bytes = format.bits() / format.channels / 8;
        let step = format.channels * bytes;
        match self {
            Self::None => {}
            Self::Horizontal => {
                let big_endian = match format.samples {
                    Samples::Sixteen { big_endian } | Samples::Clipped(_, big_endian) => big_endian,
                    _ => false,
                };
                for at in (step..row.len()).step_by(bytes) {
                    let number = |at: usize| {
                        let bytes = row[at..].iter().take(bytes);
                        let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
                        if big_endian { bytes.fold(0, add) } else { bytes.rev().fold(0, add) }
                    };
                    let sum = number(at).wrapping_add(number(at - step));
                    for (index, byte) in row[at..].iter_mut().take(bytes).enumerate() {
                        let shift = if big_endian { bytes - 1 - index } else { index };
                        *byte = (sum >> (8 * shift)) as u8;
                    }
                }
            }
            Self::FloatingPoint => {
                for at in format.channels..row.len() {
                    row[at] = row[at].wrapping_add(row[at - format.channels]);
                }
                let count = row.len() / bytes;
                let planes = row.to_vec();
                for (at, number) in row.chunks_exact_mut(bytes).enumerate() {
                    number.iter_mut().enumerate().for_each(|(plane, byte)| *byte = planes[plane * count + at]);
                }
            }
        }
    }
}
