//! JPEG decoder, bit-exact with Pillow 13 and libjpeg-turbo 3.2.
//!
//! Supports baseline, extended, progressive and lossless frames with 8-bit samples, Huffman and arithmetic coding,
//! integer ratios of sampling factors, gray, YCbCr, RGB, CMYK and YCCK. Error recovery follows libjpeg: lost restart
//! markers, data that ends too early, missing last scans of progressive files. Files that the reference rejects are
//! errors: those that end before the image is complete, 12-bit samples, damaged segments.
//!
//! Modules in decoding order: `header` (initial checks of Pillow), `segments` (tables and headers), `entropy`
//! (coefficients, with `huffman_scan` or `arithmetic`), `simd` (inverse DCT), `plane`, `upsample` and `color`;
//! `decoder` combines them. Single-scan files are decoded by MCU rows, so that only a few rows of samples are in memory
//! in addition to the pixels; other files take 2 bytes per coefficient.

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
mod lossless;
mod output;
mod plane;
mod progress;
mod restarts;
mod segments;
mod simd;
mod smooth;
mod source;
mod standard;
mod upsample;

pub(crate) use color::Color;
use decoder::Decoder;
pub(crate) use error::JpegError;
use frame::ScanHeader;
use header::HeaderInfo;
pub(crate) use simd::JpegSimd;
use source::Source;

/// A JPEG file with parsed headers.
pub(crate) struct Jpeg<'a> {
    bytes: &'a [u8],
    info: HeaderInfo,
}

impl<'a> Jpeg<'a> {
    /// Parses the headers.
    ///
    /// # Errors
    ///
    /// Headers that the reference rejects.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, JpegError> {
        Ok(Self { bytes, info: header::parse(bytes)? })
    }

    /// Width and height in pixels, as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.info.width, self.info.height)
    }

    /// Decodes to interleaved RGB.
    ///
    /// # Errors
    ///
    /// Files that the reference rejects.
    pub(crate) fn pixels(self) -> Result<Vec<u8>, JpegError> {
        let (decoder, scan) = Decoder::open(Source::new(self.bytes), None)?;
        decoder.pixels(scan)
    }
}

/// A JPEG stream embedded in another file, which specifies the color space, as read by libtiff 4.7: without input
/// windows, with an implied end of image, ignoring data after the image.
pub(crate) struct JpegPart<'a> {
    decoder: Decoder<'a>,
    scan: ScanHeader,
}

impl<'a> JpegPart<'a> {
    /// Parses the headers. The bytes should end with an additional [`END`].
    ///
    /// # Errors
    ///
    /// Headers that libjpeg rejects, and a number of components that differs from that of `color`.
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

    /// Decodes to interleaved samples of the color space.
    ///
    /// # Errors
    ///
    /// Data that libjpeg rejects.
    pub(crate) fn samples(self) -> Result<Vec<u8>, JpegError> {
        self.decoder.pixels(self.scan)
    }
}

/// The end-of-image marker (EOI).
pub(crate) const END: [u8; 2] = *b"\xff\xd9";
