//! The image processor.

use crate::decode::{decode, decode_file};
use crate::kernel::Filter;
use crate::resize::{Plane, check_resize, resize_plane};
use crate::{Error, Limits, Rgb};
use rayon::prelude::*;
use smolvlm_config::{ImageProcessorConfig, TileGrid, TilePlan};
use std::path::Path;

/// Converts images to tiles for the vision encoder.
#[derive(Debug, Clone)]
pub struct ImageProcessor {
    config: ImageProcessorConfig,
    limits: Limits,
    /// Lookup table from 8-bit levels to pixel values, per channel.
    levels: [[f32; 256]; 3],
}

/// An image source.
#[derive(Debug, Clone, Copy)]
pub enum ImageInput<'a> {
    /// A file.
    Path(&'a Path),
    /// An encoded image file.
    Bytes(&'a [u8]),
    /// Pixels.
    Decoded(&'a Rgb),
}

impl<'a> From<&'a Path> for ImageInput<'a> {
    fn from(path: &'a Path) -> Self {
        Self::Path(path)
    }
}

impl<'a> From<&'a [u8]> for ImageInput<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Rgb> for ImageInput<'a> {
    fn from(image: &'a Rgb) -> Self {
        Self::Decoded(image)
    }
}

/// The tiles of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Tiles {
    /// Pixel values, `[tiles, 3, edge, edge]`: the tiles of the grid in row-major order, then the global tile.
    pub pixels: Vec<f32>,
    /// Number of tiles.
    pub tiles: usize,
    /// Edge of a tile in pixels.
    pub edge: usize,
    /// The tile grid.
    pub grid: TileGrid,
}

impl ImageProcessor {
    /// A processor with this configuration and the default [`Limits`].
    ///
    /// # Errors
    ///
    /// [`Error::Resample`] for an unsupported filter, [`Error::Config`] for values out of range.
    pub fn new(config: ImageProcessorConfig) -> Result<Self, Error> {
        config.validate()?;
        Filter::new(config.pixels.resample)?;
        let levels = std::array::from_fn(|channel| std::array::from_fn(|level| value(&config, channel, level as f32)));
        Ok(Self { config, limits: Limits::default(), levels })
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &ImageProcessorConfig {
        &self.config
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Reads and decodes an image.
    ///
    /// # Errors
    ///
    /// As [`decode`]; errors about a file include its path.
    pub fn load(&self, input: ImageInput<'_>) -> Result<Rgb, Error> {
        match input {
            ImageInput::Decoded(image) => Ok(image.clone()),
            ImageInput::Bytes(bytes) => decode(bytes, &self.limits),
            ImageInput::Path(path) => decode_file(path, &self.limits),
        }
    }

    /// Splits an image into tiles (transformers 5.24.0, `SmolVLMImageProcessor`): resizes it to
    /// [`size`](smolvlm_config::PixelConfig::size), then to multiples of the tile edge, cuts the tiles, and appends the
    /// global tile.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an empty image, [`Error::Limit`] for more tiles or pixels than the limits allow.
    pub fn process(&self, image: &Rgb) -> Result<Tiles, Error> {
        let plan = TilePlan::new(image.height(), image.width(), &self.config)?;
        self.check(image, &plan)?;
        let whole = (plan.tile, plan.tile);
        let image = self.resize(Plane::new(image), plan.resized)?;
        let image = self.resize(image, plan.stretched)?;
        let edge = plan.tile as usize;
        let tile = 3 * edge * edge;
        let tiles = plan.grid.tiles();
        let mut pixels = vec![0.0; tiles * tile];
        let (cut, last) = pixels.split_at_mut((tiles - 1) * tile);
        let cols = plan.grid.cols as usize;
        let cut = || {
            cut.par_chunks_exact_mut(tile).enumerate().for_each(|(index, out)| {
                self.copy(&image, (index / cols * edge, index % cols * edge), out);
            });
        };
        // The global tile is resized from the stretched image, not from the original.
        let whole = || self.resize(image.borrowed(), whole).map(|image| self.copy(&image, (0, 0), last));
        rayon::join(cut, whole).1?;
        Ok(Tiles { pixels, tiles, edge, grid: plan.grid })
    }

    fn resize<'a>(&self, image: Plane<'a>, (height, width): (u32, u32)) -> Result<Plane<'a>, Error> {
        resize_plane(image, (height as usize, width as usize), self.config.pixels.resample)
    }

    /// Checks that the intermediate images and the tiles are within the limits.
    fn check(&self, image: &Rgb, plan: &TilePlan) -> Result<(), Error> {
        self.limits.check_tiles(plan.grid.tiles() as u64)?;
        let tile = (plan.tile, plan.tile);
        let mut height = image.height();
        for (out_height, out_width) in [plan.resized, plan.stretched, tile] {
            check_resize(height, (out_height, out_width), &self.limits)?;
            height = out_height;
        }
        Ok(())
    }

    /// Copies a tile from the image to `out`, `[3, edge, edge]`.
    fn copy(&self, image: &Plane<'_>, (top, left): (usize, usize), out: &mut [f32]) {
        let plane = out.len() / 3;
        let edge = plane.isqrt();
        let [reds, greens, blues] = &self.levels;
        let (red, rest) = out.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let lines = red.chunks_exact_mut(edge).zip(green.chunks_exact_mut(edge)).zip(blue.chunks_exact_mut(edge));
        for (y, ((red, green), blue)) in lines.enumerate() {
            let start = ((top + y) * image.width + left) * 3;
            let (samples, _) = image.data[start..start + edge * 3].as_chunks::<3>();
            for (((sample, red), green), blue) in samples.iter().zip(red).zip(green).zip(blue) {
                *red = reds[usize::from(sample[0])];
                *green = greens[usize::from(sample[1])];
                *blue = blues[usize::from(sample[2])];
            }
        }
    }
}

/// Pixel value of an 8-bit level. Rescaling and normalization are a single f32 operation, `(v - 255 mean) / (255 std)`,
/// fused as in torchvision's processor.
fn value(config: &ImageProcessorConfig, channel: usize, level: f32) -> f32 {
    let (mean, std) = (config.pixels.image_mean[channel] as f32, config.pixels.image_std[channel] as f32);
    match (config.pixels.do_rescale, config.pixels.do_normalize) {
        (true, true) => {
            let whole = (1.0 / config.pixels.rescale_factor) as f32;
            (level - mean * whole) / (std * whole)
        }
        (true, false) => level * config.pixels.rescale_factor as f32,
        (false, true) => (level - mean) / std,
        (false, false) => level,
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageInput, ImageProcessor};
    use crate::{Error, Limits, Rgb};
    use smolvlm_config::{ImageProcessorConfig, PixelConfig, Size};

    fn config() -> ImageProcessorConfig {
        let pixels = PixelConfig { size: Size::LongestEdge(64), max_image_size: 16, ..Default::default() };
        ImageProcessorConfig { pixels, ..Default::default() }
    }

    fn gradient(height: u32, width: u32) -> Rgb {
        let pixels =
            (0..height).flat_map(|y| (0..width).flat_map(move |x| [(x * 7) as u8, (y * 5) as u8, (x + y) as u8]));
        Rgb::new(width, height, pixels.collect()).unwrap()
    }

    #[test]
    fn tiles_precede_the_global_tile() {
        let tiles = ImageProcessor::new(config()).unwrap().process(&gradient(48, 64)).unwrap();
        assert_eq!((tiles.grid.rows, tiles.grid.cols, tiles.tiles, tiles.edge), (3, 4, 13, 16));
        assert_eq!(tiles.pixels.len(), 13 * 3 * 16 * 16);
        // 48 x 64 needs no resizing: tile (1, 2) starts at row 16, column 32. Red there is 224, green 80.
        let tile = &tiles.pixels[6 * 768..7 * 768];
        assert_eq!((tile[0], tile[256]), ((224.0 - 127.5) / 127.5, (80.0 - 127.5) / 127.5));
    }

    #[test]
    fn rescale_and_normalize_flags_are_applied() {
        let first = |change: fn(&mut ImageProcessorConfig)| {
            let mut config = ImageProcessorConfig { do_image_splitting: false, ..config() };
            change(&mut config);
            let white = Rgb::new(16, 16, vec![204; 768]).unwrap();
            ImageProcessor::new(config).unwrap().process(&white).unwrap().pixels[0]
        };
        assert_eq!(first(|_| {}), (204.0 - 127.5) / 127.5);
        assert_eq!(first(|config| config.pixels.do_normalize = false), 204.0 * (1.0 / 255.0) as f32);
        assert_eq!(first(|config| config.pixels.do_rescale = false), (204.0 - 0.5) / 0.5);
        assert_eq!(first(|config| (config.pixels.do_rescale, config.pixels.do_normalize) = (false, false)), 204.0);
    }

    #[test]
    fn limits_are_checked_before_allocation() {
        let limits = Limits { max_tiles: 12, ..Limits::default() };
        let processor = ImageProcessor::new(config()).unwrap().with_limits(limits);
        let error = processor.process(&gradient(48, 64)).unwrap_err();
        assert!(matches!(error, Error::Limit { found: 13, limit: 12, .. }), "{error}");
        let limits = Limits { max_bytes: 10, ..Limits::default() };
        let processor = ImageProcessor::new(config()).unwrap().with_limits(limits);
        assert!(matches!(processor.load(ImageInput::Bytes(&[0; 11])), Err(Error::Limit { found: 11, limit: 10, .. })));
        let error = processor.load(ImageInput::Path("Cargo.toml".as_ref())).unwrap_err().to_string();
        assert!(error.contains("Cargo.toml") && error.contains("limit"), "{error}");
    }
}
