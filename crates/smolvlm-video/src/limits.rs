//! What a video may be at most.

use crate::Error;
use std::time::{Duration, Instant};

/// What a video may be at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bounds of each frame, and of each file of a frame list.
    pub image: smolvlm_image::Limits,
    /// Largest video file, in bytes. 32 GiB by default; files of containers are never read into memory.
    pub max_bytes: u64,
    /// Most frames of a video. 2^22 (four million, 19 hours at 60 frames a second) by default.
    pub max_frames: usize,
    /// Most frames that become tiles. 1024 by default; released settings sample at most 64.
    pub max_sampled_frames: usize,
    /// Time for finding and decoding the frames of one video. Five minutes by default.
    pub deadline: Duration,
    /// Most threads that decode one video container. As many as the machine has by default, and never more than 8: each thread holds
    /// frames.
    pub threads: Option<usize>,
}

/// Most threads of a decoder.
const MAX_THREADS: usize = 8;

impl Limits {
    /// Threads of a decoder.
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

    /// Checks the number of frames that become tiles.
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

    /// Checks the number of pixels of a frame, without its sides.
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

/// Rejects a quantity beyond its limit. `raise` names the command's option, if there is one, and the field of [`Limits`].
fn check(what: &'static str, found: u64, limit: u64, raise: &'static str) -> Result<(), Error> {
    if found > limit { Err(Error::Limit { what, found, limit, raise }) } else { Ok(()) }
}

/// Time that runs out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    end: Option<Instant>,
    allowed: Duration,
}

impl Deadline {
    pub(crate) fn after(allowed: Duration) -> Self {
        // A time too far away to be counted never comes.
        Self { end: Instant::now().checked_add(allowed), allowed }
    }

    /// Time that is left; none if it never ends.
    pub(crate) fn left(self) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn is_over(self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    pub(crate) fn check(self) -> Result<(), Error> {
        if self.is_over() { Err(Error::Deadline { seconds: self.allowed.as_secs_f64() }) } else { Ok(()) }
    }
}
