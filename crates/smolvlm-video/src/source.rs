//! The interface of all kinds of videos.

use crate::{Error, Ratio, VideoNote};
use smolvlm_image::Rgb;

/// Metadata of a video, known without decoding its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoMetadata {
    /// Number of frames.
    pub frames: usize,
    /// Average frames per second; `None` for frames without times.
    pub fps: Option<Ratio>,
    /// Seconds from the first frame to the end of the last one; `None` if unknown.
    pub duration: Option<Ratio>,
    /// Height in pixels after applying the orientation.
    pub height: u32,
    /// Width in pixels after applying the orientation.
    pub width: u32,
}

/// Index and time of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameStamp {
    /// Index of the frame in display order, from 0.
    pub index: usize,
    /// Seconds since the first frame, from the stream; `None` for frames without times.
    pub time: Option<Ratio>,
}

/// Frames per second that the reference assumes when the rate is unknown (transformers 5.24.0, `replace_video_token`).
pub(crate) const ASSUMED_FPS: f64 = 24.0;

impl FrameStamp {
    /// Whole seconds since the first frame: from the stream, otherwise computed from `fps` or else 24 frames per
    /// second.
    pub fn seconds(&self, fps: Option<Ratio>) -> u64 {
        self.time.map_or_else(|| self.counted_seconds(fps), Ratio::floor)
    }

    /// Whole seconds as in the reference, which ignores the times of the stream: the frame's index divided by `fps` in
    /// f64, or by 24 frames per second without a rate.
    pub fn counted_seconds(&self, fps: Option<Ratio>) -> u64 {
        // A rate of zero results in infinity, which the cast saturates.
        (self.index as f64 / fps.map_or(ASSUMED_FPS, Ratio::as_f64)) as u64
    }
}

/// A callback for decoded frames, with index and image.
pub type FrameSink<'a> = dyn FnMut(usize, &Rgb) -> Result<(), Error> + 'a;

/// A video with random access to its frames.
pub trait FrameSource: Send {
    /// The metadata.
    fn metadata(&self) -> &VideoMetadata;

    /// Index and time of the frame at `index`, without decoding it.
    fn stamp(&self, index: usize) -> FrameStamp;

    /// Warnings for the user about a usable video, such as that the file is truncated.
    fn notes(&self) -> &[VideoNote] {
        &[]
    }

    /// Decodes the frames at `indices`, which must ascend and be less than the number of frames, applies their
    /// orientation and passes each with its index to `sink`, in that order. A folder of images skips damaged ones if
    /// others remain, and adds a warning to [`notes`](Self::notes).
    ///
    /// # Errors
    ///
    /// [`Error::MissingFrame`] if the video ends before a frame or cannot decode it, [`Error::Decode`],
    /// [`Error::Deadline`], [`Error::Limit`], and those of `sink`.
    fn read(&mut self, indices: &[usize], sink: &mut FrameSink<'_>) -> Result<(), Error>;
}
