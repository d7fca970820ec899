//! TIFF decoder for the first image (TIFF 6.0, BigTIFF), compatible with Pillow 13 and its libtiff.

mod codec;
mod fax;
mod jpeg;
mod layout;

use crate::color::RowFormat;
use crate::orientation::{self, Directory, Header, Orientation};
use codec::{Coding, Predictor};
use std::io::Read;

/// Tags of baseline and extended TIFF.
mod tag {
    pub(super) const WIDTH: u16 = 256;
    pub(super) const HEIGHT: u16 = 257;
    pub(super) const BITS: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const PHOTOMETRIC: u16 = 262;
    pub(super) const FILL_ORDER: u16 = 266;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const SAMPLES: u16 = 277;
    pub(super) const ROWS_PER_STRIP: u16 = 278;
    pub(super) const STRIP_COUNTS: u16 = 279;
    pub(super) const PLANAR: u16 = 284;
    pub(super) const T4_OPTIONS: u16 = 292;
    pub(super) const PREDICTOR: u16 = 317;
    pub(super) const COLORS: u16 = 320;
    pub(super) const TILE_WIDTH: u16 = 322;
    pub(super) const TILE_HEIGHT: u16 = 323;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_COUNTS: u16 = 325;
    pub(super) const EXTRA_SAMPLES: u16 = 338;
    pub(super) const SAMPLE_FORMAT: u16 = 339;
    pub(super) const JPEG_TABLES: u16 = 347;
    pub(super) const YCBCR_COEFFICIENTS: u16 = 529;
    pub(super) const YCBCR_SUBSAMPLING: u16 = 530;
    pub(super) const BLACK_WHITE: u16 = 532;
    pub(super) const XMP: u16 = 700;
}

/// A TIFF file with parsed first directory.
pub(crate) struct Tiff<'a> {
    bytes: &'a [u8],
    width: usize,
    height: usize,
    orientation: Orientation,
    format: RowFormat,
    /// The format of one plane and the number of planes, for a planar layout.
    planes: Option<(RowFormat, usize)>,
    chunks: Chunks,
    coding: Coding<'a>,
    predictor: Predictor,
}

/// Offsets of strips or tiles.
struct Chunks {
    width: usize,
    height: usize,
    offsets: Vec<u64>,
    /// Sizes of strips or tiles in bytes; empty for uncompressed pixels.
    counts: Option<Vec<u64>>,
}

impl<'a> Tiff<'a> {
    /// Parses the directory; the error is a message.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let header = Header::read(bytes).ok_or("the header is damaged")?;
        let directory = Directory::read(bytes, header, header.first);
        let number = |tag: u16| directory.unsigned(tag).and_then(|values| values.first().copied());
        let side = |tag: u16| number(tag).and_then(|side| u32::try_from(side).ok()).map(|side| side as usize);
        let width = side(tag::WIDTH).ok_or("the width is missing")?;
        let height = side(tag::HEIGHT).ok_or("the height is missing")?;
        let layout = layout::Layout::read(&directory, header.big_endian)?;
        let coding = Coding::read(&directory, layout.photometric, layout.channels)?;
        let predictor = Predictor::read(number(tag::PREDICTOR).unwrap_or(1), &coding, &layout)?;
        let (format, planes) = layout.formats(predictor, coding.gives_rgb());
        let (chunk_width, chunk_height, offsets, counts) = match directory.unsigned(tag::STRIP_OFFSETS) {
            Some(offsets) => {
                let rows = number(tag::ROWS_PER_STRIP).map_or(height, |rows| usize::try_from(rows).unwrap_or(height));
                (width, rows.min(height), offsets, tag::STRIP_COUNTS)
            }
            None => {
                let offsets = directory.unsigned(tag::TILE_OFFSETS).ok_or("neither strips nor tiles are listed")?;
                let [width, height] = [tag::TILE_WIDTH, tag::TILE_HEIGHT].map(side);
                (
                    width.ok_or("the tiles have no width")?,
                    height.ok_or("the tiles have no height")?,
                    offsets,
                    tag::TILE_COUNTS,
                )
            }
        };
        let counts = if coding.is_raw() { None } else { directory.unsigned(counts) };
        if chunk_width == 0 || chunk_height == 0 {
            return Err("its strips or tiles are empty".into());
        }
        // Tiles may extend beyond the image; limiting the discarded part bounds the decoding time.
        let padded = |side: usize, tile: usize| (side.div_ceil(tile) as u64).saturating_mul(tile as u64);
        let stored = padded(width, chunk_width).saturating_mul(padded(height, chunk_height));
        if stored > (4 * width as u64).saturating_mul(height as u64).saturating_add(1 << 24) {
            return Err("its tiles are much larger than the image".into());
        }
        let tag = orientation::of_directory(&directory);
        let xmp = || directory.field(tag::XMP).and_then(|field| orientation::of_xmp(field.data));
        Ok(Self {
            bytes,
            width,
            height,
            orientation: tag.or_else(xmp).unwrap_or_default(),
            format,
            planes,
            chunks: Chunks { width: chunk_width, height: chunk_height, offsets, counts },
            coding,
            predictor,
        })
    }

    /// Width and height in pixels, as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    /// The orientation to apply.
    pub(crate) fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Decodes to interleaved RGB; the error is a message.
    pub(crate) fn pixels(&self) -> Result<Vec<u8>, String> {
        let mut rgb = vec![0; 3 * self.width * self.height];
        let across = self.width.div_ceil(self.chunks.width);
        let per_plane = across * self.height.div_ceil(self.chunks.height);
        for chunk in 0..per_plane {
            let (left, top) = (chunk % across * self.chunks.width, chunk / across * self.chunks.height);
            self.chunk(chunk, per_plane, left, top, &mut rgb)?;
        }
        Ok(rgb)
    }

    /// Decodes a strip or tile to its position in the image.
    fn chunk(&self, chunk: usize, per_plane: usize, left: usize, top: usize, rgb: &mut [u8]) -> Result<(), String> {
        let rows = self.chunks.height.min(self.height - top);
        let columns = self.chunks.width.min(self.width - left);
        let (plane, planes) = self.planes.as_ref().map_or((&self.format, 1), |(format, planes)| (format, *planes));
        let row_bytes = plane.row_bytes(self.chunks.width);
        let mut readers = (0..planes)
            .map(|plane| {
                let data = self.chunks.data(self.bytes, chunk + plane * per_plane, per_plane * planes == 1)?;
                self.coding.reader(data, self.chunks.width, rows)
            })
            .collect::<Result<Vec<Box<dyn Read + '_>>, String>>()?;
        let sample_bytes = plane.bits() / 8;
        let mut row = vec![0; row_bytes];
        let mut interleaved = vec![0; if planes == 1 { 0 } else { row_bytes * planes }];
        let mut scratch = Vec::new();
        for y in top..top + rows {
            for (at, reader) in readers.iter_mut().enumerate() {
                reader.read_exact(&mut row).map_err(|error| match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => "the pixels end too early".to_owned(),
                    _ => "the compressed pixels are damaged".to_owned(),
                })?;
                self.predictor.undo(&mut row, plane);
                if planes > 1 {
                    let targets = interleaved.chunks_exact_mut(sample_bytes).skip(at).step_by(planes);
                    targets
                        .zip(row.chunks_exact(sample_bytes))
                        .for_each(|(target, sample)| target.copy_from_slice(sample));
                }
            }
            let stored = if planes == 1 { &row } else { &interleaved };
            let visible = &mut rgb[3 * (y * self.width + left)..][..3 * columns];
            self.format.convert(stored, &mut scratch, visible);
        }
        Ok(())
    }
}

impl Chunks {
    /// The bytes of a strip or tile. As in Pillow, the last of several that cover the whole image is used, and sizes
    /// matter only for compressed pixels.
    fn data<'a>(&self, bytes: &'a [u8], index: usize, only: bool) -> Result<&'a [u8], String> {
        let index = if only { self.offsets.len().saturating_sub(1) } else { index };
        let offset = *self.offsets.get(index).ok_or("strips or tiles are missing")?;
        let rest =
            usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).ok_or("the file is truncated")?;
        let Some(counts) = &self.counts else { return Ok(rest) };
        let count = counts.get(index).and_then(|&count| usize::try_from(count).ok()).ok_or("sizes are missing")?;
        // As in libtiff, the size of a single strip may be unspecified.
        if only && count == 0 {
            return Ok(rest);
        }
        rest.get(..count).ok_or_else(|| "the file is truncated".into())
    }
}
