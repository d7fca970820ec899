//! Images and clips.

/// An RGB image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Red, green and blue of every pixel, row by row from the top.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Red, green and blue of the pixel in column `x` and row `y`. Panics outside of the image.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * self.width + x);
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }
}

/// An image or a clip.
#[derive(Debug, Clone, PartialEq)]
pub enum Medium {
    /// An image.
    Image(Picture),
    /// A clip.
    Video {
        /// The frames in order, all of the same size.
        frames: Vec<Picture>,
        /// Frames per second.
        fps: f64,
    },
}
