//! Preprocessing options of single messages.

use std::borrow::Cow;

use smolvlm_config::{ImageProcessorConfig, Size, VideoProcessorConfig};
use smolvlm_image::ImageProcessor;
use smolvlm_video::VideoProcessor;

use crate::error::{Error, Position};
use crate::processor::Processor;

/// Preprocessing of the images and videos of a [`Message`](crate::Message), where it differs from the processor's
/// configuration; as there for what is not set. The reference takes the same as arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct MediaOptions {
    /// Whether images are split into tiles. Without splitting, every image is one tile.
    pub image_splitting: Option<bool>,
    /// The length in pixels to which the longer edge of an image is resized before it is split.
    pub longest_edge: Option<u32>,
    /// Frames per second to sample from videos.
    pub video_fps: Option<f64>,
    /// Maximum number of frames to sample from a video, also from a list of images.
    pub video_frames: Option<u32>,
}

impl MediaOptions {
    /// Sets whether images are split into tiles.
    #[must_use]
    pub fn image_splitting(mut self, splits: bool) -> Self {
        self.image_splitting = Some(splits);
        self
    }

    /// Sets the length to which the longer edge of an image is resized.
    #[must_use]
    pub fn longest_edge(mut self, pixels: u32) -> Self {
        self.longest_edge = Some(pixels);
        self
    }

    /// Sets the frames per second to sample from videos.
    #[must_use]
    pub fn video_fps(mut self, fps: f64) -> Self {
        self.video_fps = Some(fps);
        self
    }

    /// Sets the maximum number of frames to sample from a video.
    #[must_use]
    pub fn video_frames(mut self, frames: u32) -> Self {
        self.video_frames = Some(frames);
        self
    }

    /// These options, and those of `other` for what is not set here.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            image_splitting: self.image_splitting.or(other.image_splitting),
            longest_edge: self.longest_edge.or(other.longest_edge),
            video_fps: self.video_fps.or(other.video_fps),
            video_frames: self.video_frames.or(other.video_frames),
        }
    }

    /// The configuration of an image processor with these options.
    pub fn image_config(self, config: &ImageProcessorConfig) -> ImageProcessorConfig {
        let mut config = config.clone();
        config.do_image_splitting = self.image_splitting.unwrap_or(config.do_image_splitting);
        config.pixels.size = self.longest_edge.map_or(config.pixels.size, Size::LongestEdge);
        config
    }

    /// The configuration of a video processor with these options.
    pub fn video_config(self, config: &VideoProcessorConfig) -> VideoProcessorConfig {
        let mut config = config.clone();
        config.fps = self.video_fps.or(config.fps);
        config.num_frames = self.video_frames.or(config.num_frames);
        config
    }
}

impl Processor {
    /// The image processor with these options.
    pub(crate) fn images_with(&self, options: MediaOptions, at: Position) -> Result<Cow<'_, ImageProcessor>, Error> {
        let images = self.image_processor();
        if options.image_splitting.is_none() && options.longest_edge.is_none() {
            return Ok(Cow::Borrowed(images));
        }
        let config = options.image_config(images.config());
        let images = ImageProcessor::new(config).map_err(|source| Error::Image { at, source })?;
        Ok(Cow::Owned(images.with_limits(self.limits().image.clone())))
    }

    /// The video processor with these options.
    pub(crate) fn videos_with(&self, options: MediaOptions, at: Position) -> Result<Cow<'_, VideoProcessor>, Error> {
        let videos = self.video_processor();
        if options.video_fps.is_none() && options.video_frames.is_none() {
            return Ok(Cow::Borrowed(videos));
        }
        let config = options.video_config(videos.config());
        let error = |source| Error::Video { at, source: Box::new(source) };
        let samples_images = videos.samples_images() || options.video_frames.is_some();
        let videos = VideoProcessor::new(config).map_err(error)?.with_limits(self.limits().video.clone());
        Ok(Cow::Owned(videos.sampling_images(samples_images)))
    }
}
