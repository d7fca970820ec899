//! Decoder of still and animated WebP files, compatible with Pillow 13 and libwebp 1.6.0: it returns the same pixels
//! and rejects the same files. It parses the container and composes animations; `image-webp` decodes the frames.

mod animation;
mod bitstream;
mod canvas;
mod chunks;
mod container;
mod frame;
#[cfg(test)]
mod tests;

pub use animation::{WebpAnimation, WebpFrame};

use crate::orientation::Orientation;
use canvas::Canvas;
use container::Container;

/// A WebP file with parsed container.
pub(crate) struct Webp<'a>(Container<'a>);

impl<'a> Webp<'a> {
    /// Parses the container; the error is a message.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        Container::open(bytes).map(Self)
    }

    /// Width and height in pixels, as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.0.width, self.0.height)
    }

    /// The orientation to apply.
    pub(crate) fn orientation(&self) -> Orientation {
        self.0.metadata.orientation()
    }

    /// Decodes the first frame to interleaved RGB; the error is a message.
    pub(crate) fn pixels(&self) -> Result<Vec<u8>, String> {
        let frame = self.0.frames.first().ok_or("it has no frames")?;
        let pixels = frame.decode()?;
        if frame.rectangle.covers(self.0.width, self.0.height) {
            return Ok(pixels.into_rgb(self.0.has_alpha));
        }
        let mut canvas = Canvas::new(self.0.width, self.0.height).ok_or("the image is too large")?;
        canvas.draw(frame, &pixels);
        Ok(canvas.rgb(self.0.has_alpha))
    }
}
