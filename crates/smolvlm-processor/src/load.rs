//! Loading of single images and videos, without a prompt.

use std::sync::Arc;

use smolvlm_image::Rgb;
use smolvlm_video::{Cancel, FrameSource};

use crate::error::{Error, Position};
use crate::limits::ProcessorLimits;
use crate::media::{Opened, Opener};
use crate::policy::MediaPolicy;
use crate::process::Source;
use crate::source::{ImageSource, VideoSource};

/// Reads and decodes an image from any source, for instance for an [`ImageProcessor`](crate::ImageProcessor).
///
/// ```
/// use smolvlm_processor::{ImageSource, MediaPolicy, ProcessorLimits, load_image};
///
/// let source = ImageSource::from("data:image/gif;base64,R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs=");
/// let image = load_image(&source, &MediaPolicy::default(), &ProcessorLimits::default())?;
/// assert_eq!(image.data(), [255, 0, 0]);
/// # Ok::<(), smolvlm_processor::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotAllowed`], [`Error::Http`], [`Error::TooLarge`], [`Error::Image`] for a file that cannot be read or
/// decoded.
pub fn load_image(source: &ImageSource, policy: &MediaPolicy, limits: &ProcessorLimits) -> Result<Arc<Rgb>, Error> {
    let at = Position::default();
    match Opener::within(policy, limits, Cancel::new()).open(Source::Image(source), at)? {
        Opened::Image(file) => file.into_pixels(limits, at),
        Opened::Video { .. } | Opened::Known(_) => Err(Error::IsVideo { at }),
    }
}

/// Opens a video from any source, for instance for a [`VideoProcessor`](crate::VideoProcessor). `cancel` stops the work
/// on it.
///
/// # Errors
/// [`Error::NotAllowed`], [`Error::Http`], [`Error::TooLarge`], [`Error::Video`] for a file that cannot be read.
pub fn open_video(
    source: &VideoSource,
    policy: &MediaPolicy,
    limits: &ProcessorLimits,
    cancel: Cancel,
) -> Result<Box<dyn FrameSource>, Error> {
    let at = Position::default();
    match Opener::within(policy, limits, cancel).open(Source::Video(source), at)? {
        Opened::Video { frames, .. } => Ok(frames),
        Opened::Image(_) | Opened::Known(_) => {
            Err(Error::Video { at, source: Box::new(smolvlm_video::Error::NoFrames) })
        }
    }
}
