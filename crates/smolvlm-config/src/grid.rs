//! Tile geometry: the sizes to which an image is resized, and its tile grid.
//!
//! The arithmetic follows transformers 5.24.0 (`image_processing_smolvlm.py`): divisions and products in `f64`, in the
//! same order, truncated toward zero. Exact arithmetic would differ: with a longest edge of 1536, a 75x512 image is
//! resized to 224x1536 in the reference and here, but to 226x1536 in exact arithmetic.

use crate::{Error, ImageProcessorConfig, Size};

/// Maximum of [`Size::LongestEdge`] in pixels; larger values are reduced to it.
pub const MAX_LONGEST_EDGE: u32 = 4096;

/// The tile grid of an image: `rows` x `cols` tiles, followed by a global tile that shows the whole image.
///
/// `0 x 0` ([`TileGrid::WHOLE`]) means that the image is not split and only has the global tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TileGrid {
    /// Number of rows.
    pub rows: u32,
    /// Number of columns.
    pub cols: u32,
}

impl TileGrid {
    /// The grid of an image that is not split.
    pub const WHOLE: TileGrid = TileGrid { rows: 0, cols: 0 };

    /// Whether the image is split; otherwise it is a single tile.
    pub fn is_split(&self) -> bool {
        self.rows > 0 && self.cols > 0
    }

    /// Number of tiles: `rows * cols + 1` for a split image (the last one is the global tile), otherwise 1.
    pub fn tiles(&self) -> usize {
        if self.is_split() { (self.rows as usize).saturating_mul(self.cols as usize).saturating_add(1) } else { 1 }
    }

    /// Number of `<image>` tokens, for `image_seq_len` tokens per tile.
    pub fn image_tokens(&self, image_seq_len: usize) -> usize {
        self.tiles().saturating_mul(image_seq_len)
    }
}

/// The sizes of an image before it is split into tiles. All pairs are `(height, width)` in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TilePlan {
    /// Size after the first resize to [`PixelConfig::size`](crate::PixelConfig::size); the input size if `do_resize` is
    /// off.
    pub resized: (u32, u32),
    /// Size after the second resize: multiples of the tile edge if the image is split, otherwise one tile.
    pub stretched: (u32, u32),
    /// The split of `stretched` into tiles.
    pub grid: TileGrid,
    /// Edge of a square tile in pixels.
    pub tile: u32,
}

impl TilePlan {
    /// Plans the tiles of an image of `height` x `width` pixels under the configuration's
    /// [`resize_policy`](ImageProcessorConfig::resize_policy).
    ///
    /// # Errors
    ///
    /// [`Error::EmptyImage`] for a side of zero, [`Error::Invalid`] if `config` has a size of zero, or if a resized
    /// side exceeds `u32`.
    pub fn new(height: u32, width: u32, config: &ImageProcessorConfig) -> Result<TilePlan, Error> {
        config.resize_policy.plan(height, width, config)
    }

    /// The reference's plan, whatever the policy.
    pub(crate) fn faithful(height: u32, width: u32, config: &ImageProcessorConfig) -> Result<TilePlan, Error> {
        if height == 0 || width == 0 {
            return Err(Error::EmptyImage { height, width });
        }
        let tile = config.pixels.max_image_size;
        if tile == 0 {
            return Err(Error::invalid("max_image_size.longest_edge", "must be at least 1, is 0"));
        }
        let resized = if config.pixels.do_resize {
            match config.pixels.size {
                Size::LongestEdge(edge) => fit_longest_edge(height, width, edge)?,
                Size::Exact { height, width } if height > 0 && width > 0 => (height, width),
                Size::Exact { height, width } => {
                    return Err(Error::invalid(
                        "size",
                        format!("height and width must be at least 1, are {height} and {width}"),
                    ));
                }
            }
        } else {
            (height, width)
        };
        let whole = TilePlan { resized, stretched: (tile, tile), grid: TileGrid::WHOLE, tile };
        if !config.do_image_splitting {
            return Ok(whole);
        }
        let stretched = stretch_to_tiles(resized.0, resized.1, tile)?;
        if stretched == (tile, tile) {
            return Ok(whole);
        }
        Ok(TilePlan { stretched, grid: TileGrid { rows: stretched.0 / tile, cols: stretched.1 / tile }, ..whole })
    }
}

/// Resizes the longest side to `edge`, keeps the aspect ratio, and rounds the other side up to an even number; then
/// reduces the longest side to [`MAX_LONGEST_EDGE`] without rounding to even. For an odd `edge` and a nearly square
/// image, the rounding can make the other side the longest one.
fn fit_longest_edge(height: u32, width: u32, edge: u32) -> Result<(u32, u32), Error> {
    if edge == 0 {
        return Err(Error::invalid("size.longest_edge", "must be at least 1, is 0"));
    }
    let aspect = f64::from(width) / f64::from(height);
    let (h, w) = if width >= height {
        (even(truncate(f64::from(edge) / aspect)), u64::from(edge))
    } else {
        (u64::from(edge), even(truncate(f64::from(edge) * aspect)))
    };
    let (mut h, mut w) = (h.max(1), w.max(1));
    // The aspect ratio of the new size rather than of the image, because it includes the rounding above.
    let aspect = w as f64 / h as f64;
    let limit = u64::from(MAX_LONGEST_EDGE);
    if w >= h && w > limit {
        (h, w) = (truncate(limit as f64 / aspect), limit);
    } else if h > w && h > limit {
        (h, w) = (limit, truncate(limit as f64 * aspect));
    }
    Ok((side(h.max(1))?, side(w.max(1))?))
}

/// The multiples of `tile` to which an image is resized. The aspect ratio is kept only approximately.
fn stretch_to_tiles(height: u32, width: u32, tile: u32) -> Result<(u32, u32), Error> {
    let tile = u64::from(tile);
    let aspect = f64::from(width) / f64::from(height);
    // A rounded product can be below one (49 * (1 / 49) is 0.999...), which leaves no pixel and makes the reference
    // fail; here the image gets one tile in that direction.
    let up = |pixels: u64| pixels.max(1).div_ceil(tile) * tile;
    let (h, w) = if width >= height {
        let w = up(u64::from(width));
        (up(truncate(w as f64 / aspect)), w)
    } else {
        let h = up(u64::from(height));
        (h, up(truncate(h as f64 * aspect)))
    };
    Ok((side(h)?, side(w)?))
}

/// `int()` of a non-negative float.
fn truncate(value: f64) -> u64 {
    value as u64
}

fn even(value: u64) -> u64 {
    value + value % 2
}

fn side(pixels: u64) -> Result<u32, Error> {
    u32::try_from(pixels).map_err(|_| {
        Error::invalid(
            "image size",
            format!("a side would be resized to {pixels} pixels, at most {} are possible", u32::MAX),
        )
    })
}
