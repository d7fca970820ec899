//! Videos to tiles.

use crate::limits::check;
use crate::{Error, FramePlan, FrameSource, FrameStamp, Limits, VideoMetadata, VideoNote};
use smolvlm_config::{MAX_LONGEST_EDGE, Size, VideoProcessorConfig};
use smolvlm_image::ImageProcessor;

/// Turns videos into tiles, one a frame.
#[derive(Debug, Clone)]
pub struct VideoProcessor {
    config: VideoProcessorConfig,
    frames: ImageProcessor,
    limits: Limits,
}

/// Which frames of a video become tiles. Known before anything is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoPlan {
    /// The frames, and when they are shown.
    pub stamps: Vec<FrameStamp>,
    /// The whole video's.
    pub metadata: VideoMetadata,
    /// What the user should know about the video.
    pub notes: Vec<VideoNote>,
}

/// The sampled frames of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoTiles {
    /// Pixel values, `[frames, 3, edge, edge]`.
    pub pixels: Vec<f32>,
    /// Edge of a tile in pixels.
    pub edge: usize,
    /// Which frames these are.
    pub plan: VideoPlan,
}

impl VideoProcessor {
    /// A processor with this configuration and the default [`Limits`].
    ///
    /// # Errors
    ///
    /// [`Error::NotResized`], and [`Error::Processor`] for a filter that cannot be used or values out of range.
    pub fn new(config: VideoProcessorConfig) -> Result<Self, Error> {
        if !config.do_resize {
            return Err(Error::NotResized);
        }
        let mut frame = config.frame();
        if let Size::LongestEdge(edge) = &mut frame.size {
            // The image processor brings a longer edge down after evening, the video processor before.
            *edge = (*edge).min(MAX_LONGEST_EDGE);
        }
        let frames = ImageProcessor::new(frame).map_err(|source| Error::Processor { source })?;
        Ok(Self { config, frames, limits: Limits::default() })
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.frames = self.frames.with_limits(limits.image.clone());
        self.limits = limits;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &VideoProcessorConfig {
        &self.config
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Which frames of a video become tiles.
    ///
    /// # Errors
    ///
    /// [`Error::NoFrames`], and [`Error::Limit`] for more frames than the limits allow.
    pub fn plan(&self, source: &dyn FrameSource) -> Result<VideoPlan, Error> {
        let metadata = *source.metadata();
        let indices = FramePlan::new(&metadata, &self.config).indices;
        if indices.is_empty() {
            return Err(Error::NoFrames);
        }
        check("the number of sampled frames", indices.len() as u64, self.limits.max_sampled_frames as u64)?;
        let stamps = indices.into_iter().map(|index| source.stamp(index)).collect();
        Ok(VideoPlan { stamps, metadata, notes: source.notes().to_vec() })
    }

    /// Samples a video and makes a tile of every sampled frame (transformers 5.24.0, `SmolVLMVideoProcessor`): resize to
    /// `size`, then to one tile, whatever the proportions.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan) and [`FrameSource::read`], and [`Error::Frame`].
    pub fn process(&self, source: &mut dyn FrameSource) -> Result<VideoTiles, Error> {
        let plan = self.plan(source)?;
        let edge = self.config.max_image_size as usize;
        let indices: Vec<usize> = plan.stamps.iter().map(|stamp| stamp.index).collect();
        let mut pixels = Vec::with_capacity(indices.len() * 3 * edge * edge);
        source.read(&indices, &mut |index, image| {
            let tile = self.frames.process(image).map_err(|source| Error::Frame { index, source })?;
            pixels.extend_from_slice(&tile.pixels);
            Ok(())
        })?;
        Ok(VideoTiles { pixels, edge, plan })
    }
}

#[cfg(test)]
mod tests {
    use super::VideoProcessor;
    use crate::{Error, FrameImage, Frames, Limits, Ratio};
    use smolvlm_config::{Size, VideoProcessorConfig};
    use smolvlm_image::Rgb;
    use std::sync::Arc;

    fn config() -> VideoProcessorConfig {
        VideoProcessorConfig { size: Size::LongestEdge(64), max_image_size: 16, ..VideoProcessorConfig::default() }
    }

    /// Frame `k` is gray of level `k`.
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
    fn limits_come_before_the_work() {
        let limits = Limits { max_sampled_frames: 2, ..Limits::default() };
        let processor = VideoProcessor::new(config()).unwrap().with_limits(limits);
        let error = processor.process(&mut video(3, None)).unwrap_err();
        assert!(matches!(error, Error::Limit { found: 3, limit: 2, .. }), "{error}");
        let unresized = VideoProcessorConfig { do_resize: false, ..config() };
        assert!(matches!(VideoProcessor::new(unresized), Err(Error::NotResized)));
    }
}
