//! JPEG files, decoded bit for bit as Pillow 13 does with libjpeg-turbo 3.2.
//!
//! Baseline, extended, progressive and lossless frames of 8-bit samples, Huffman and arithmetic coding, any sampling factors
//! that are whole ratios, gray, YCbCr, RGB, CMYK and YCCK. What libjpeg repairs is repaired in the same way: lost restart
//! markers, data that ends too early, missing last scans of progressive files. What the reference refuses is an error: files
//! that end before the image is complete, 12-bit samples, damaged segments.
//!
//! A file goes through `header` (what Pillow checks first), `segments` (tables and headers), `entropy` (coefficients, by
//! `huffman_scan` or `arithmetic`), `lanes` (the inverse transform), `plane`, `upsample` and `color`; `decoder` puts them
//! together. Files with one scan are decoded by rows of MCUs, so that besides the pixels only a few rows of samples are in
//! memory; other files take 2 bytes for each coefficient.

mod arithmetic;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod avx2;
mod coefficients;
mod color;
mod decoder;
mod entropy;
mod error;
mod frame;
mod header;
mod huffman;
mod huffman_scan;
mod lanes;
mod lossless;
mod output;
mod plane;
mod progress;
mod restarts;
mod segments;
mod smooth;
mod source;
mod standard;
mod upsample;

pub(crate) use color::Color;
use decoder::Decoder;
pub(crate) use error::JpegError;
use frame::ScanHeader;
use header::Facts;
pub(crate) use lanes::Samples;
use source::Source;

/// A JPEG file whose header has been read.
pub(crate) struct Jpeg<'a> {
    bytes: &'a [u8],
    facts: Facts,
}

impl<'a> Jpeg<'a> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Headers that the reference refuses.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, JpegError> {
        Ok(Self { bytes, facts: header::survey(bytes)? })
    }

    /// Width and height in pixels, as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.facts.width, self.facts.height)
    }

    /// Decodes to interleaved RGB.
    ///
    /// # Errors
    ///
    /// What the reference refuses.
    pub(crate) fn pixels(self) -> Result<Vec<u8>, JpegError> {
        let (decoder, scan) = Decoder::open(Source::new(self.bytes), None)?;
        decoder.pixels(scan)
    }
}

/// A JPEG file within another file, which says what its components mean, as libtiff 4.7 reads it: in one piece, with an end
/// where the data end, and whatever follows the image.
pub(crate) struct JpegPart<'a> {
    decoder: Decoder<'a>,
    scan: ScanHeader,
}

impl<'a> JpegPart<'a> {
    /// Reads the headers. The bytes should end with an [`END`] of their own.
    ///
    /// # Errors
    ///
    /// Headers that libjpeg refuses, and another number of components than `color` has.
    pub(crate) fn open(bytes: &'a [u8], color: Color) -> Result<Self, JpegError> {
        let (decoder, scan) = Decoder::open(Source::whole(bytes), Some(color))?;
        if decoder.frame.components.len() != color.channels() {
            return Err(JpegError::Unsupported("a JPEG part with another number of components than the image"));
        }
        Ok(Self { decoder, scan })
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.decoder.frame.width, self.decoder.frame.height)
    }

    /// Decodes to interleaved samples of the color.
    ///
    /// # Errors
    ///
    /// What libjpeg refuses.
    pub(crate) fn samples(self) -> Result<Vec<u8>, JpegError> {
        self.decoder.pixels(self.scan)
    }
}

/// The marker at the end of an image.
pub(crate) const END: [u8; 2] = *b"\xff\xd9";
