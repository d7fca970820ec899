//! Lists of images as videos: files, bytes or decoded frames.

use crate::limits::Deadline;
use crate::{Error, FrameSink, FrameSource, FrameStamp, Limits, Ratio, VideoMetadata};
use smolvlm_image::{Rgb, decode, decode_file, dimensions, file_dimensions};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

/// One frame of a list.
#[derive(Debug, Clone)]
pub enum FrameImage {
    /// An image file.
    Path(PathBuf),
    /// The contents of an image file.
    Bytes(Arc<[u8]>),
    /// Pixels.
    Decoded(Arc<Rgb>),
}

/// A list of images as a video. They are decoded when they are read.
#[derive(Debug, Clone)]
pub struct Frames {
    images: Vec<FrameImage>,
    metadata: VideoMetadata,
    limits: Limits,
}

impl Frames {
    /// Creates a video of these frames. With `fps` they are sampled like those of other videos, otherwise all are used.
    ///
    /// # Errors
    ///
    /// [`Error::NoFrames`], [`Error::Limit`], and [`Error::Frame`] if the first frame, whose size is the video's,
    /// cannot be read.
    pub fn new(
        images: Vec<FrameImage>,
        fps: Option<Ratio>,
        duration: Option<Ratio>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let first = images.first().ok_or(Error::NoFrames)?;
        limits.check_frames(images.len())?;
        let (height, width) = size(first, &limits.image).map_err(|source| Error::Frame { index: 0, source })?;
        let metadata = VideoMetadata { frames: images.len(), fps, duration, height, width };
        Ok(Self { images, metadata, limits: limits.clone() })
    }
}

impl FrameSource for Frames {
    fn metadata(&self) -> &VideoMetadata {
        &self.metadata
    }

    fn stamp(&self, index: usize) -> FrameStamp {
        FrameStamp { index, time: self.metadata.fps.and_then(|fps| fps.time_of(index as u64)) }
    }

    fn read(&mut self, indices: &[usize], sink: &mut FrameSink<'_>) -> Result<(), Error> {
        let deadline = Deadline::of(&self.limits);
        for &index in indices {
            deadline.check()?;
            let missing = Error::MissingFrame { index, frames: self.images.len() };
            let image = self.images.get(index).ok_or(missing)?;
            let image = load(image, &self.limits.image).map_err(|source| Error::Frame { index, source })?;
            sink(index, &image)?;
        }
        Ok(())
    }
}

fn load<'a>(image: &'a FrameImage, limits: &smolvlm_image::Limits) -> Result<Cow<'a, Rgb>, smolvlm_image::Error> {
    Ok(match image {
        FrameImage::Path(path) => Cow::Owned(decode_file(path, limits)?),
        FrameImage::Bytes(bytes) => Cow::Owned(decode(bytes, limits)?),
        FrameImage::Decoded(image) => Cow::Borrowed(image),
    })
}

/// Height and width.
fn size(image: &FrameImage, limits: &smolvlm_image::Limits) -> Result<(u32, u32), smolvlm_image::Error> {
    match image {
        FrameImage::Path(path) => file_dimensions(path, limits),
        FrameImage::Bytes(bytes) => dimensions(bytes, limits),
        FrameImage::Decoded(image) => Ok((image.height(), image.width())),
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameImage, Frames};
    use crate::{Error, FrameSource, Limits, Ratio};
    use smolvlm_image::Rgb;
    use std::sync::Arc;

    #[test]
    fn frames_have_times_only_with_a_rate() {
        let images = vec![FrameImage::Decoded(Arc::new(Rgb::new(1, 1, vec![0; 3]).unwrap())); 5];
        let mut times = Vec::new();
        for fps in [None, Ratio::new(5, 2)] {
            let mut video = Frames::new(images.clone(), fps, None, &Limits::default()).unwrap();
            times.extend([0, 4].map(|index| video.stamp(index).time));
            assert!(matches!(video.read(&[5], &mut |_, _| Ok(())), Err(Error::MissingFrame { index: 5, frames: 5 })));
        }
        assert_eq!(times, [None, None, Some(Ratio::whole(0)), Ratio::new(8, 5)]);
        assert!(matches!(Frames::new(Vec::new(), None, None, &Limits::default()), Err(Error::NoFrames)));
    }
}
