//! Animated WebP files, frame by frame.

use super::canvas::Canvas;
use super::container::{Container, is_animated, truncated_end};
use crate::decode::decode_error;
use crate::{Error, ImageFormat, Limits, Rgb};

/// An animated WebP file, decoded frame by frame like in Pillow 13, which uses libwebp's `WebPAnimDecoder`: the canvas
/// is cleared to transparent black instead of the background color of the file.
///
/// ```no_run
/// use smolvlm_image::{Limits, WebpAnimation};
///
/// let bytes = std::fs::read("moving.webp")?;
/// let Some(mut animation) = WebpAnimation::open(&bytes, &Limits::default())? else { return Ok(()) };
/// while let Some(frame) = animation.next_frame()? {
///     println!("at {} ms: {:?}", frame.start(), frame.rgb().data().first());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WebpAnimation<'a> {
    container: Container<'a>,
    canvas: Canvas,
    is_truncated: bool,
    next: usize,
    /// Start time of the next frame in milliseconds.
    start: u64,
}

impl<'a> WebpAnimation<'a> {
    /// Parses a file and allocates its canvas, 4 bytes per pixel. Returns `None` if the file is not animated. A
    /// truncated file yields its complete frames, possibly none.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] for a file or canvas that is too large, and [`Error::Decode`] for a container that libwebp
    /// rejects.
    pub fn open(bytes: &'a [u8], limits: &Limits) -> Result<Option<Self>, Error> {
        limits.check_bytes(bytes.len())?;
        if ImageFormat::of(bytes) != Some(ImageFormat::Webp) || !is_animated(bytes) {
            return Ok(None);
        }
        let end = truncated_end(bytes);
        let container = end.map_or_else(|| Container::open(bytes), |end| Container::open_until(bytes, end));
        let container = container.map_err(|message| decode_error(ImageFormat::Webp, &message))?;
        limits.check_size(container.width, container.height)?;
        let canvas = Canvas::new(container.width, container.height);
        let canvas = canvas.ok_or_else(|| decode_error(ImageFormat::Webp, "the image is too large"))?;
        Ok(Some(Self { container, canvas, is_truncated: end.is_some(), next: 0, start: 0 }))
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.container.width, self.container.height)
    }

    /// The number of frames.
    pub fn frames(&self) -> usize {
        self.container.frames.len()
    }

    /// Whether the file is shorter than its header declares.
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// Decodes the next frame; `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] for damaged data. Further frames cannot be decoded.
    pub fn next_frame(&mut self) -> Result<Option<WebpFrame<'_>>, Error> {
        let Some(frame) = self.container.frames.get(self.next) else { return Ok(None) };
        let pixels = frame.decode().map_err(|message| decode_error(ImageFormat::Webp, &message))?;
        self.canvas.draw(frame, &pixels);
        self.next += 1;
        let start = self.start;
        self.start = start.saturating_add(frame.duration.into());
        Ok(Some(WebpFrame {
            canvas: &self.canvas,
            has_alpha: self.container.has_alpha,
            start,
            duration: frame.duration,
        }))
    }
}

/// A displayed frame of an animation, composed with the frames before it.
pub struct WebpFrame<'a> {
    canvas: &'a Canvas,
    has_alpha: bool,
    start: u64,
    duration: u32,
}

impl WebpFrame<'_> {
    /// Start time in milliseconds.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Display duration in milliseconds.
    pub fn duration(&self) -> u32 {
        self.duration
    }

    /// The whole canvas in RGB, composited over white if the file declares alpha, otherwise ignoring alpha.
    pub fn rgb(&self) -> Rgb {
        Rgb::from_parts(self.canvas.width, self.canvas.height, self.canvas.rgb(self.has_alpha))
    }
}
