//! Images to SmolVLM tiles, bit for bit as the reference makes them.
//!
//! ```no_run
//! use smolvlm_config::Preset;
//! use smolvlm_image::{ImageInput, ImageProcessor};
//!
//! let processor = ImageProcessor::new(Preset::Smol256M.processor().image)?;
//! let image = processor.load(ImageInput::Path("photo.jpg".as_ref()))?;
//! let tiles = processor.process(&image)?;
//! println!("{} x {} tiles and the whole image, {} floats", tiles.grid.rows, tiles.grid.cols, tiles.pixels.len());
//! # Ok::<(), smolvlm_image::Error>(())
//! ```
//!
//! The reference is `SmolVLMImageProcessor` of transformers 5.24.0 on torchvision: its uint8 kernels are reproduced exactly,
//! with two or three resizes one after the other, each rounded to 8 bits.
//!
//! # Files
//!
//! The first frame of PNG, JPEG, WebP, GIF, BMP and TIFF files, and all of animated WebP ([`WebpAnimation`]), with the
//! pixels that Pillow 13 gives, bit for bit: orientation as `ImageOps.exif_transpose` applies it (EXIF data before or after
//! the pixels, ImageMagick's raw profile, XMP), transparency over white, gray repeated, CMYK and palettes without a color
//! profile. Of 16-bit samples the upper 8 bits are kept (Pillow does so for color; gray it clips at 255, which makes such
//! files white). Files that are truncated or damaged are errors, never half an image (JPEG data are repaired where Pillow
//! does so), and so is anything over the [`Limits`], before memory is allocated.
//!
//! JPEG files give the very pixels that libjpeg-turbo 3.2 gives, which Pillow uses: every coding, sampling factor and color
//! space that Pillow reads, with the same repair of damaged data.
//! TIFF: bilevel to 32 bits, palettes, gray or color with alpha, CMYK; strips, tiles and planes; PackBits, LZW, Deflate,
//! Zstandard, CCITT groups 3 and 4, JPEG of gray, RGB and YCbCr; BigTIFF. Not read: CIELAB, YCbCr compressed with anything
//! but JPEG, CMYK compressed with JPEG, old-style JPEG, LZMA, LERC, WebP, SGILog and ThunderScan.
//!
//! # Threads
//!
//! Work is spread over the current rayon pool; no result depends on the number of threads. No tensor library is needed.

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
mod lanes;
mod limits;
mod lzw;
mod orientation;
mod passes;
mod png;
mod processor;
mod resize;
mod rgb;
mod tiff;
mod webp;
mod ycbcr;

pub use batch::TileBatch;
pub use decode::{decode, decode_file, dimensions, file_dimensions};
pub use error::Error;
pub use format::Format;
pub use limits::Limits;
pub use processor::{ImageInput, ImageProcessor, Tiles};
pub use resize::resize;
pub use rgb::Rgb;
pub use smolvlm_config::TileGrid;
pub use webp::{WebpAnimation, WebpFrame};
