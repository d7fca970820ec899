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
//! The reference is `SmolVLMImageProcessor` of transformers 5.23.0 on torchvision: its uint8 LANCZOS kernel is reproduced
//! exactly, with two or three resizes one after the other, each rounded to 8 bits. Decoded files follow what Pillow makes
//! of them: EXIF orientation is applied, transparency is laid over white, grey becomes RGB; of 16-bit samples the upper
//! 8 bits are kept. JPEG decoders differ among each other by a level or two; every other format is exact.
//!
//! No tensor library is needed, and no result depends on the number of threads.

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod avx2;
mod batch;
mod colour;
mod decode;
mod error;
mod jpeg;
mod kernel;
mod lanes;
mod limits;
mod orientation;
mod passes;
mod processor;
mod resize;
mod rgb;

pub use batch::TileBatch;
pub use decode::{decode, decode_file, dimensions};
pub use error::Error;
pub use limits::Limits;
pub use processor::{ImageInput, ImageProcessor, Tiles};
pub use resize::resize;
pub use rgb::Rgb;
pub use smolvlm_config::TileGrid;
