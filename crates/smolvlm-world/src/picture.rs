//! Pictures and clips.

/// Pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Red, green and blue of every pixel, row by row from the top.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Red, green and blue of the pixel in this column and row, which exist.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * self.width + x);
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq)]
pub enum Medium {
    /// A still.
    Image(Picture),
    /// A clip.
    Video {
        /// Its frames in order, all of one size.
        frames: Vec<Picture>,
        /// Frames a second.
        fps: f64,
    },
}
