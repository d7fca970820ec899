//! WebP files, still and animated, as Pillow 13 reads them with libwebp 1.6.0: the same pixels, the same files refused.
//! The container and the canvas of animations are handled here; frames are decoded by `image-webp`.

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

/// A WebP file whose chunks have been listed.
pub(crate) struct Webp<'a>(Container<'a>);

impl<'a> Webp<'a> {
    /// Lists the chunks of a whole file; the error is a message.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        Container::open(bytes).map(Self)
    }

    /// Width and height in pixels, as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.0.width, self.0.height)
    }

    /// How the image is to be turned.
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
