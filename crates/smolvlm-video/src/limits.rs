//! Limits of video size and decoding time.

use crate::{Cancel, Error, Isolation};
use std::time::{Duration, Instant};

/// Limits of video size and decoding time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Limits of each frame, and of each image file.
    pub image: smolvlm_image::Limits,
    /// Maximum size of a video file in bytes. 32 GiB by default; container files are not read into memory.
    pub max_bytes: u64,
    /// Maximum number of frames of a video. 2^22 (four million, 19 hours at 60 frames per second) by default.
    pub max_frames: usize,
    /// Maximum number of sampled frames. 1024 by default; released settings sample at most 64.
    pub max_sampled_frames: usize,
    /// Maximum time for indexing and for decoding a video. Five minutes by default.
    pub deadline: Duration,
    /// Number of threads that decode a video container. `None` (the default) for all threads of the CPU; limited to 8,
    /// since each thread keeps frames in memory.
    pub threads: Option<usize>,
    /// Limits of child processes that decode containers, for files from strangers. None by default.
    pub isolation: Option<Isolation>,
    /// A token that stops indexing and decoding from elsewhere with [`Error::Cancelled`].
    pub cancel: Option<Cancel>,
}

/// Maximum number of threads of a decoder.
const MAX_THREADS: usize = 8;

impl Limits {
    /// Number of threads of a decoder.
    pub(crate) fn decoder_threads(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(available).clamp(1, MAX_THREADS)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            image: smolvlm_image::Limits::default(),
            max_bytes: 32 << 30,
            max_frames: 1 << 22,
            max_sampled_frames: 1024,
            deadline: Duration::from_secs(300),
            threads: None,
            isolation: None,
            cancel: None,
        }
    }
}

impl Limits {
    /// Checks the size of a video file.
    pub(crate) fn check_bytes(&self, bytes: u64) -> Result<(), Error> {
        check("the video's size in bytes", bytes, self.max_bytes, "Limits::max_bytes")
    }

    /// Checks the size of a file that is read into memory.
    pub(crate) fn check_image_bytes(&self, bytes: usize) -> Result<(), Error> {
        check("the file's size in bytes", bytes as u64, self.image.max_bytes, "Limits::image.max_bytes")
    }

    /// Checks the number of frames of a video.
    pub(crate) fn check_frames(&self, frames: usize) -> Result<(), Error> {
        check_frames(frames, self.max_frames)
    }

    /// Checks the number of sampled frames.
    pub(crate) fn check_sampled_frames(&self, frames: usize) -> Result<(), Error> {
        let limit = self.max_sampled_frames as u64;
        check("the number of sampled frames", frames as u64, limit, "Limits::max_sampled_frames")
    }

    /// Checks the size of a frame.
    pub(crate) fn check_frame_size(&self, width: u32, height: u32) -> Result<(), Error> {
        const WIDTH: &str = "--max-image-side or Limits::image.max_width";
        const HEIGHT: &str = "--max-image-side or Limits::image.max_height";
        check("a frame's width in pixels", width.into(), self.image.max_width.into(), WIDTH)?;
        check("a frame's height in pixels", height.into(), self.image.max_height.into(), HEIGHT)?;
        self.check_frame_pixels(width, height)
    }

    /// Checks the number of pixels of a frame, but not its width and height.
    pub(crate) fn check_frame_pixels(&self, width: u32, height: u32) -> Result<(), Error> {
        let pixels = u64::from(width) * u64::from(height);
        let raise = "--max-image-pixels or Limits::image.max_pixels";
        check("a frame's number of pixels", pixels, self.image.max_pixels, raise)
    }
}

/// Checks the number of frames of a video against [`Limits::max_frames`].
pub(crate) fn check_frames(frames: usize, max_frames: usize) -> Result<(), Error> {
    check("the number of frames", frames as u64, max_frames as u64, "Limits::max_frames")
}

/// Checks a quantity against its limit. `raise` names the CLI option, if there is one, and the field of [`Limits`].
fn check(what: &'static str, found: u64, limit: u64, raise: &'static str) -> Result<(), Error> {
    if found > limit { Err(Error::Limit { what, found, limit, raise }) } else { Ok(()) }
}

/// Maximum duration of a single wait, after which cancellation is noticed.
const MAX_WAIT: Duration = Duration::from_millis(50);

/// The end of work: a point in time, or its cancellation.
#[derive(Debug, Clone)]
pub(crate) struct Deadline {
    end: Option<Instant>,
    allowed: Duration,
    cancel: Option<Cancel>,
}

impl Deadline {
    /// The end of work that starts now.
    pub(crate) fn of(limits: &Limits) -> Self {
        // A time that cannot be represented never comes.
        let end = Instant::now().checked_add(limits.deadline);
        Self { end, allowed: limits.deadline, cancel: limits.cancel.clone() }
    }

    /// The time until the next check, for waiting.
    pub(crate) fn wait(&self) -> Duration {
        let left = self.end.map_or(MAX_WAIT, |end| end.saturating_duration_since(Instant::now()));
        left.min(MAX_WAIT)
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(Cancel::is_cancelled)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_cancelled() || self.end.is_some_and(|end| Instant::now() >= end)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if self.is_over() { Err(Error::Deadline { seconds: self.allowed.as_secs_f64() }) } else { Ok(()) }
    }
}
