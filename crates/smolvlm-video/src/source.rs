//! What every kind of video can tell and give.

use crate::{Error, Ratio, VideoNote};
use smolvlm_image::Rgb;

/// What is known about a video before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoMetadata {
    /// Frames of the video.
    pub frames: usize,
    /// Frames a second, on average. None for frames without times.
    pub fps: Option<Ratio>,
    /// Seconds from the first frame to the end of the last one. None when nothing says so.
    pub duration: Option<Ratio>,
    /// Height in pixels, upright.
    pub height: u32,
    /// Width in pixels, upright.
    pub width: u32,
}

/// Which frame this is, and when it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameStamp {
    /// Place of the frame in the video, in the order of showing, from 0.
    pub index: usize,
    /// Seconds since the first frame, from the stream. None for frames without times.
    pub time: Option<Ratio>,
}

/// Frames per second that the reference assumes when the rate is unknown (transformers 5.24.0, `replace_video_token`).
pub(crate) const ASSUMED_FPS: f64 = 24.0;

impl FrameStamp {
    /// Whole seconds since the first frame: from the stream, else counted at `fps`, else at 24 frames a second.
    pub fn seconds(&self, fps: Option<Ratio>) -> u64 {
        self.time.map_or_else(|| self.counted_seconds(fps), Ratio::floor)
    }

    /// Whole seconds as the reference has them, whatever the stream says: the frame's place divided by `fps` in 64-bit
    /// floats, 24 frames a second without one.
    pub fn counted_seconds(&self, fps: Option<Ratio>) -> u64 {
        // A rate of zero makes it infinite, which the conversion brings to the largest number.
        (self.index as f64 / fps.map_or(ASSUMED_FPS, Ratio::as_f64)) as u64
    }
}

/// Takes the wanted frames as they come: the index, and the picture.
pub type FrameSink<'a> = dyn FnMut(usize, &Rgb) -> Result<(), Error> + 'a;

/// A video that can be asked for some of its frames.
pub trait FrameSource: Send {
    /// What is known without decoding.
    fn metadata(&self) -> &VideoMetadata;

    /// When the frame at `index` is shown; known without decoding.
    fn stamp(&self, index: usize) -> FrameStamp;

    /// What the user should know about the video although its frames can be used, such as that the file is cut off.
    fn notes(&self) -> &[VideoNote] {
        &[]
    }

    /// Decodes the frames at `indices`, which must ascend and lie below the number of frames, and gives each with its index
    /// to `sink`, in that order, upright, one at a time. A folder of images leaves out those that turn out to be damaged, if others
    /// remain; [`notes`](Self::notes) says so afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFrame`] when the video ends before a frame or cannot decode it, [`Error::Decode`],
    /// [`Error::Deadline`], [`Error::Limit`], and those of `sink`.
    fn read(&mut self, indices: &[usize], sink: &mut FrameSink<'_>) -> Result<(), Error>;
}
