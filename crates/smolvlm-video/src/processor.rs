//! The video processor.

use crate::plan::DEFAULT_FRAMES;
use crate::{Error, FramePlan, FrameSource, FrameStamp, Limits, VideoMetadata, VideoNote};
use smolvlm_config::{MAX_LONGEST_EDGE, Size, VideoProcessorConfig};
use smolvlm_image::ImageProcessor;

/// Converts videos to tiles for the vision encoder, one tile per sampled frame.
#[derive(Debug, Clone)]
pub struct VideoProcessor {
    config: VideoProcessorConfig,
    frames: ImageProcessor,
    limits: Limits,
    samples_images: bool,
}

/// The sampled frames of a video, known without decoding.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoPlan {
    /// Index and time of each frame.
    pub stamps: Vec<FrameStamp>,
    /// Metadata of the whole video.
    pub metadata: VideoMetadata,
    /// Warnings for the user about the video.
    pub notes: Vec<VideoNote>,
}

/// The tiles of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoTiles {
    /// Pixel values, `[frames, 3, edge, edge]`.
    pub pixels: Vec<f32>,
    /// Edge of a tile in pixels.
    pub edge: usize,
    /// The frames of the tiles.
    pub plan: VideoPlan,
}

impl VideoProcessor {
    /// A processor with this configuration and the default [`Limits`].
    ///
    /// # Errors
    ///
    /// [`Error::NotResized`], and [`Error::Processor`] for an unsupported filter or values out of range.
    pub fn new(config: VideoProcessorConfig) -> Result<Self, Error> {
        if !config.pixels.do_resize {
            return Err(Error::NotResized);
        }
        config.validate().map_err(|error| Error::Processor { source: error.into() })?;
        let mut frame = config.frame();
        if let Size::LongestEdge(edge) = &mut frame.pixels.size {
            // The reference's video processor limits the longest edge before rounding to even sizes, the image
            // processor after.
            *edge = (*edge).min(MAX_LONGEST_EDGE);
        }
        let frames = ImageProcessor::new(frame).map_err(|source| Error::Processor { source })?;
        Ok(Self { config, frames, limits: Limits::default(), samples_images: false })
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.frames = self.frames.with_limits(limits.image.clone());
        self.limits = limits;
        self
    }

    /// Sets whether images without times, such as those of a folder, are sampled evenly, at most `num_frames` of the
    /// configuration. By default all of them are used, since the user chose them.
    #[must_use]
    pub fn sampling_images(mut self, samples: bool) -> Self {
        self.samples_images = samples;
        self
    }

    /// Whether images without times are sampled.
    pub fn samples_images(&self) -> bool {
        self.samples_images
    }

    /// The configuration.
    pub fn config(&self) -> &VideoProcessorConfig {
        &self.config
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Selects the frames of a video to sample.
    ///
    /// # Errors
    ///
    /// [`Error::NoFrames`], and [`Error::Limit`] or [`Error::TooManyImages`] for more frames than the limits allow.
    pub fn plan(&self, source: &dyn FrameSource) -> Result<VideoPlan, Error> {
        let metadata = *source.metadata();
        let has_times = metadata.fps.is_some();
        let plan = if has_times || !self.samples_images {
            FramePlan::new(&metadata, &self.config)
        } else {
            FramePlan::evenly(metadata.frames, self.config.num_frames.unwrap_or(DEFAULT_FRAMES))
        };
        let (indices, limit) = (plan.indices, self.limits.max_sampled_frames);
        if indices.is_empty() {
            return Err(Error::NoFrames);
        }
        if indices.len() > limit && !has_times && !self.samples_images {
            return Err(Error::TooManyImages { frames: indices.len(), limit });
        }
        self.limits.check_sampled_frames(indices.len())?;
        let stamps = indices.into_iter().map(|index| source.stamp(index)).collect();
        Ok(VideoPlan { stamps, metadata, notes: source.notes().to_vec() })
    }

    /// Samples a video and converts each sampled frame to a tile (transformers 5.24.0, `SmolVLMVideoProcessor`): it is
    /// resized to `size`, then to one tile regardless of its aspect ratio. The returned plan excludes frames that the
    /// source skips.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan) and [`FrameSource::read`], and [`Error::Frame`].
    pub fn process(&self, source: &mut dyn FrameSource) -> Result<VideoTiles, Error> {
        let mut plan = self.plan(source)?;
        let edge = self.config.pixels.max_image_size as usize;
        let indices: Vec<usize> = plan.stamps.iter().map(|stamp| stamp.index).collect();
        let mut pixels = Vec::with_capacity(indices.len() * 3 * edge * edge);
        let mut given = Vec::with_capacity(indices.len());
        source.read(&indices, &mut |index, image| {
            let tile = self.frames.process(image).map_err(|source| Error::Frame { index, source })?;
            pixels.extend_from_slice(&tile.pixels);
            given.push(index);
            Ok(())
        })?;
        plan.stamps.retain(|stamp| given.binary_search(&stamp.index).is_ok());
        plan.notes = source.notes().to_vec();
        Ok(VideoTiles { pixels, edge, plan })
    }
}

#[cfg(test)]
mod tests {
    use super::VideoProcessor;
    use crate::{Error, FrameFolder, FrameImage, Frames, Limits, Ratio};
    use smolvlm_config::{PixelConfig, Size, VideoProcessorConfig};
    use smolvlm_image::Rgb;
    use std::sync::Arc;

    fn config() -> VideoProcessorConfig {
        let pixels = PixelConfig { size: Size::LongestEdge(64), max_image_size: 16, ..PixelConfig::default() };
        VideoProcessorConfig { pixels, ..VideoProcessorConfig::default() }
    }

    /// A video whose frame `k` has gray level `k`.
    fn video(frames: u8, fps: Option<Ratio>) -> Frames {
        let frame = |level| FrameImage::Decoded(Arc::new(Rgb::new(30, 20, vec![level; 1800]).unwrap()));
        Frames::new((0..frames).map(frame).collect(), fps, None, &Limits::default()).unwrap()
    }

    #[test]
    fn every_sampled_frame_is_one_tile() {
        let processor = VideoProcessor::new(config()).unwrap();
        let video = processor.process(&mut video(90, Some(Ratio::whole(30)))).unwrap();
        assert_eq!(video.plan.stamps.iter().map(|stamp| stamp.index).collect::<Vec<_>>(), [0, 44, 89]);
        assert_eq!((video.edge, video.pixels.len()), (16, 3 * 3 * 16 * 16));
        let levels: Vec<f32> = video.pixels.chunks(768).map(|tile| tile[100] * 127.5 + 127.5).collect();
        assert_eq!(levels, [0.0, 44.0, 89.0]);
    }

    #[test]
    fn images_without_times_are_sampled_on_request() {
        let config = VideoProcessorConfig { num_frames: Some(4), ..config() };
        let processor = VideoProcessor::new(config).unwrap();
        let indices = |processor: &VideoProcessor, frames| {
            let plan = processor.plan(&video(frames, None)).unwrap();
            plan.stamps.iter().map(|stamp| stamp.index).collect::<Vec<_>>()
        };
        assert_eq!(indices(&processor, 6), [0, 1, 2, 3, 4, 5]);
        let processor = processor.sampling_images(true);
        assert_eq!(indices(&processor, 6), [0, 1, 3, 5]);
        assert_eq!(indices(&processor, 3), [0, 1, 2]);
    }

    #[test]
    fn damaged_images_of_a_folder_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let still = include_bytes!("../../../tests/golden/media/square.png");
        for (name, bytes) in [("1.png", &still[..]), ("2.png", &still[..still.len() / 2]), ("3.png", still)] {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let mut source = FrameFolder::open(folder.path(), &Limits::default()).unwrap();
        let processor = VideoProcessor::new(config()).unwrap();
        assert!(processor.plan(&source).unwrap().notes.is_empty());
        let video = processor.process(&mut source).unwrap();
        assert_eq!(video.plan.stamps.iter().map(|stamp| stamp.index).collect::<Vec<_>>(), [0, 2]);
        assert_eq!((video.pixels.len(), video.plan.notes.len()), (2 * 3 * 16 * 16, 1));
    }

    #[test]
    fn limits_are_checked_before_decoding() {
        let limits = Limits { max_sampled_frames: 2, ..Limits::default() };
        let processor = VideoProcessor::new(config()).unwrap().with_limits(limits);
        let error = processor.process(&mut video(90, Some(Ratio::whole(30)))).unwrap_err();
        assert!(matches!(error, Error::Limit { found: 3, limit: 2, .. }), "{error}");
        let error = processor.process(&mut video(3, None)).unwrap_err();
        assert!(matches!(error, Error::TooManyImages { frames: 3, limit: 2 }), "{error}");
        assert!(error.to_string().contains("--video-frames"), "{error}");
        let mut unresized = config();
        unresized.pixels.do_resize = false;
        assert!(matches!(VideoProcessor::new(unresized), Err(Error::NotResized)));
    }
}
