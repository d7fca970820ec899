//! The video processor.

use crate::error::of_kind;
use crate::fork::check_threads;
use crate::interrupt::interruptible;
use crate::media::{self, ratio};
use numpy::{IntoPyArray, PyArray4, PyArrayMethods};
use pyo3::prelude::*;
use smolvlm::config::VideoProcessorConfig;
use smolvlm::processor::{
    self, FramePlan, FrameStamp, Position, ProcessorLimits, VideoMetadata, VideoProcessor as Videos, VideoTiles,
    open_video,
};
use smolvlm::{Cancel, ErrorKind, MediaPolicy};

/// The frames of a video that a prompt describes.
#[pyclass(frozen, module = "smolvlm._native")]
#[derive(Clone)]
pub struct VideoPlan(pub processor::VideoPlan);

#[pymethods]
impl VideoPlan {
    #[new]
    #[pyo3(signature = (indices, total_num_frames, fps=None, duration=None, height=1, width=1))]
    fn new(
        indices: Vec<usize>,
        total_num_frames: usize,
        fps: Option<f64>,
        duration: Option<f64>,
        height: u32,
        width: u32,
    ) -> PyResult<Self> {
        let fps = fps.map(|fps| ratio("fps", fps)).transpose()?;
        let duration = duration.map(|seconds| ratio("duration", seconds)).transpose()?;
        let stamp = |index| FrameStamp { index, time: None };
        let metadata = VideoMetadata { frames: total_num_frames, fps, duration, height, width };
        let stamps = indices.into_iter().map(stamp).collect();
        Ok(Self(processor::VideoPlan { stamps, metadata, notes: Vec::new() }))
    }

    /// Indices of the sampled frames.
    #[getter]
    fn indices(&self) -> Vec<usize> {
        self.0.stamps.iter().map(|stamp| stamp.index).collect()
    }

    /// Seconds of the sampled frames since the first frame; none for frames without times.
    #[getter]
    fn timestamps(&self) -> Vec<Option<f64>> {
        let fps = self.0.metadata.fps.map(|fps| fps.as_f64());
        let seconds = |stamp: &FrameStamp| {
            stamp.time.map(|time| time.as_f64()).or_else(|| fps.map(|fps| stamp.index as f64 / fps))
        };
        self.0.stamps.iter().map(seconds).collect()
    }

    /// Number of frames of the whole video.
    #[getter]
    fn total_num_frames(&self) -> usize {
        self.0.metadata.frames
    }

    /// Frames per second; none for frames without times.
    #[getter]
    fn fps(&self) -> Option<f64> {
        self.0.metadata.fps.map(|fps| fps.as_f64())
    }

    /// Seconds.
    #[getter]
    fn duration(&self) -> Option<f64> {
        self.0.metadata.duration.map(|duration| duration.as_f64())
    }

    /// Pixels.
    #[getter]
    fn height(&self) -> u32 {
        self.0.metadata.height
    }

    /// Pixels.
    #[getter]
    fn width(&self) -> u32 {
        self.0.metadata.width
    }

    /// Warnings about a usable video.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.0.notes.iter().map(ToString::to_string).collect()
    }
}

/// Converts videos to tiles, one per sampled frame.
#[pyclass(frozen, module = "smolvlm._native")]
pub struct VideoProcessor(VideoProcessorConfig);

#[pymethods]
impl VideoProcessor {
    #[new]
    fn new(config: &str) -> PyResult<Self> {
        let config = VideoProcessorConfig::from_json(config).map_err(|error| of_kind(ErrorKind::Config, &error))?;
        Videos::new(config.clone()).map_err(|error| of_kind(ErrorKind::Config, &error))?;
        Ok(Self(config))
    }

    /// The configuration as JSON.
    fn config(&self) -> String {
        self.0.to_json()
    }

    /// Processes a video. Without `sample`, all of its frames are used.
    #[pyo3(signature = (video, sample=true))]
    fn process<'py>(
        &self,
        py: Python<'py>,
        video: &Bound<'py, PyAny>,
        sample: bool,
    ) -> PyResult<(Bound<'py, PyArray4<f32>>, VideoPlan)> {
        check_threads()?;
        let source = media::video(video)?;
        let (policy, limits, cancel) = (MediaPolicy::default(), ProcessorLimits::default(), Cancel::new());
        let VideoTiles { pixels, edge, plan } = interruptible(py, &cancel, || {
            let mut frames = open_video(&source, &policy, &limits, cancel.clone())?;
            let mut config = self.0.clone();
            if !sample {
                // A rate above the video's selects each of its frames.
                config.fps = frames.metadata().fps.map(|fps| 2.0 * fps.as_f64());
                config.num_frames = Some(u32::MAX);
            }
            let videos = Videos::new(config).map(|videos| videos.with_limits(limits.video.clone()));
            let tiles = videos.and_then(|videos| videos.sampling_images(sample).process(frames.as_mut()));
            tiles.map_err(|source| processor::Error::Video { at: Position::default(), source: Box::new(source) })
        })?;
        let frames = plan.stamps.len();
        Ok((pixels.into_pyarray(py).reshape([frames, 3, edge, edge])?, VideoPlan(plan)))
    }

    /// Indices of the frames that would be sampled from a video.
    fn sample(&self, total_num_frames: usize, fps: f64, duration: f64) -> PyResult<Vec<usize>> {
        let (fps, duration) = (ratio("fps", fps)?, ratio("duration", duration)?);
        let metadata =
            VideoMetadata { frames: total_num_frames, fps: Some(fps), duration: Some(duration), height: 1, width: 1 };
        Ok(FramePlan::sample(&metadata, fps, &self.0).indices)
    }
}
