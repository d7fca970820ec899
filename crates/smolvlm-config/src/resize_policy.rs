//! Resize policies that save tiles compared with the reference.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ImageProcessorConfig, PixelConfig, Size, TilePlan};

/// Resizing of images before they are split into tiles. All policies except the first give other pixel values and
/// fewer tokens than the reference: the tiles of a smaller version of the whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ResizePolicy {
    /// As in the reference: every image, however small, is resized to the configured size.
    #[default]
    Faithful,
    /// Images are enlarged at most to the next whole number of tiles, so small ones are a single tile.
    NoUpscale,
    /// At most this many tiles, including the global tile: the configured size is reduced in steps of whole tiles until
    /// the image fits.
    MaxTiles(u32),
    /// Only the global tile.
    GlobalOnly,
}

impl ResizePolicy {
    const LEGAL: &'static str = "faithful, no-upscale, max-tiles=N or global-only";

    /// The plan of an image of `height` x `width` pixels under this policy.
    pub(crate) fn plan(self, height: u32, width: u32, config: &ImageProcessorConfig) -> Result<TilePlan, Error> {
        let faithful = |size: Size| {
            let pixels = PixelConfig { size, ..config.pixels.clone() };
            TilePlan::faithful(height, width, &ImageProcessorConfig { pixels, ..config.clone() })
        };
        let whole = || {
            let config = ImageProcessorConfig { do_image_splitting: false, ..config.clone() };
            TilePlan::faithful(height, width, &config)
        };
        let tile = config.pixels.max_image_size.max(1);
        match (self, config.pixels.size) {
            (Self::Faithful, size) => faithful(size),
            (Self::GlobalOnly, _) => whole(),
            (Self::NoUpscale, Size::LongestEdge(edge)) => {
                let tiles = height.max(width).div_ceil(tile);
                faithful(Size::LongestEdge(edge.min(tiles.saturating_mul(tile).max(1))))
            }
            // A size that does not depend on the image is not an enlargement.
            (Self::NoUpscale, size @ Size::Exact { .. }) => faithful(size),
            (Self::MaxTiles(most), size) => {
                let fits = |plan: &TilePlan| plan.grid.tiles() <= most as usize;
                let plan = faithful(size)?;
                if fits(&plan) {
                    return Ok(plan);
                }
                if let Size::LongestEdge(edge) = size {
                    // A side of k tiles gives at least k tiles, so larger ones are skipped.
                    for tiles in (2..edge.div_ceil(tile).min(most)).rev() {
                        let plan = faithful(Size::LongestEdge(tiles * tile))?;
                        if fits(&plan) {
                            return Ok(plan);
                        }
                    }
                }
                whole()
            }
        }
    }
}

impl fmt::Display for ResizePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faithful => f.write_str("faithful"),
            Self::NoUpscale => f.write_str("no-upscale"),
            Self::MaxTiles(most) => write!(f, "max-tiles={most}"),
            Self::GlobalOnly => f.write_str("global-only"),
        }
    }
}

impl FromStr for ResizePolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let most = text.strip_prefix("max-tiles=").map(str::parse::<u32>);
        match (text, most) {
            ("faithful", _) => Ok(Self::Faithful),
            ("no-upscale", _) => Ok(Self::NoUpscale),
            ("global-only", _) => Ok(Self::GlobalOnly),
            (_, Some(Ok(most))) if most > 0 => Ok(Self::MaxTiles(most)),
            _ => Err(Error::unsupported("resize_policy".to_owned(), text, Self::LEGAL)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ResizePolicy::{self, *};
    use crate::{Preset, TileGrid, TilePlan};

    fn grid(height: u32, width: u32, policy: ResizePolicy) -> (u32, u32) {
        let mut config = Preset::Smol256M.processor().image;
        config.resize_policy = policy;
        let TileGrid { rows, cols } = TilePlan::new(height, width, &config).unwrap().grid;
        (rows, cols)
    }

    #[test]
    fn small_images_are_one_tile_except_with_faithful() {
        assert_eq!(grid(1, 1, Faithful), (4, 4));
        assert_eq!(grid(1, 1, NoUpscale), (0, 0));
        assert_eq!(grid(512, 300, NoUpscale), (0, 0));
        assert_eq!(grid(400, 600, NoUpscale), (2, 2));
        assert_eq!(grid(3000, 4000, NoUpscale), grid(3000, 4000, Faithful));
    }

    #[test]
    fn no_policy_exceeds_its_tile_limit() {
        for (height, width) in [(1, 1), (100, 2000), (768, 1024), (3000, 4000), (2000, 100)] {
            for most in 1..=18 {
                let (rows, cols) = grid(height, width, MaxTiles(most));
                assert!(TileGrid { rows, cols }.tiles() <= most as usize, "{height} {width} {most}: {rows} {cols}");
            }
            assert_eq!(grid(height, width, GlobalOnly), (0, 0));
            assert_eq!(grid(height, width, MaxTiles(17)), grid(height, width, Faithful));
        }
        // The largest possible grid: 2 x 2 and the global tile.
        assert_eq!(grid(1024, 1024, MaxTiles(9)), (2, 2));
        assert_eq!(grid(1024, 1024, MaxTiles(10)), (3, 3));
        assert_eq!(grid(100, 2000, MaxTiles(4)), (1, 3));
    }

    #[test]
    fn names_round_trip() {
        for policy in [Faithful, NoUpscale, MaxTiles(5), GlobalOnly] {
            assert_eq!(policy.to_string().parse::<ResizePolicy>().unwrap(), policy);
        }
        for wrong in ["", "max-tiles", "max-tiles=0", "max-tiles=x", "none"] {
            let error = wrong.parse::<ResizePolicy>().unwrap_err().to_string();
            assert!(error.contains("no-upscale"), "{error}");
        }
    }
}
