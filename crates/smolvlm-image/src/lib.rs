#![doc = include_str!("../README.md")]
//!
//! # Reference
//!
//! The reference is `SmolVLMImageProcessor` of transformers 5.24.0 on torchvision. Its uint8 kernels are reproduced
//! exactly, with two or three successive resizes, each rounded to 8 bits.
//!
//! # Files
//!
//! The crate decodes the first frame of PNG, JPEG, WebP, GIF, BMP and TIFF files, and all frames of animated WebP files
//! ([`WebpAnimation`]), to the same pixels as Pillow 13, bit for bit: orientation as in `ImageOps.exif_transpose` (EXIF
//! data before or after the pixels, ImageMagick's raw profile, XMP), transparency over white, gray replicated to three
//! channels, CMYK and palettes without a color profile. Of 16-bit samples the upper 8 bits are used (Pillow does so for
//! color, but clips gray at 255, which makes such files white). Truncated or damaged files are errors and never give
//! partial images (JPEG data is repaired where Pillow does so). Images that exceed the [`Limits`] are rejected before
//! memory is allocated.
//!
//! JPEG pixels equal those of libjpeg-turbo 3.2, which Pillow uses: all coding processes, sampling factors and color
//! spaces that Pillow supports, with the same repair of damaged data. TIFF: bilevel to 32 bits, palettes, gray or color
//! with alpha, CMYK; strips, tiles and planes; PackBits, LZW, Deflate, Zstandard, CCITT groups 3 and 4, JPEG of gray,
//! RGB and YCbCr; BigTIFF. Not supported: CIELAB, YCbCr compressed with anything but JPEG, CMYK compressed with JPEG,
//! old-style JPEG, LZMA, LERC, WebP, SGILog and ThunderScan.
//!
//! # Threads
//!
//! Work is distributed over the current rayon pool; results do not depend on the number of threads. No tensor library
//! is needed.

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod avx2;
mod batch;
mod bmp;
mod color;
mod decode;
mod error;
mod format;
mod gif;
mod jpeg;
mod kernel;
mod limits;
mod lzw;
mod orientation;
mod passes;
mod png;
mod processor;
mod resize;
mod rgb;
mod simd;
mod tiff;
mod webp;
mod ycbcr;

pub use batch::TileBatch;
pub use decode::{decode, decode_file, dimensions, file_dimensions};
pub use error::Error;
pub use format::ImageFormat;
pub use limits::Limits;
pub use processor::{ImageInput, ImageProcessor, Tiles};
pub use resize::resize;
pub use rgb::Rgb;
pub use smolvlm_config::{
    Error as ConfigError, ImageProcessorConfig, PixelConfig, Preset, ProcessorConfig, Resample, ResizePolicy, Size,
    TileGrid,
};
pub use webp::{WebpAnimation, WebpFrame};
