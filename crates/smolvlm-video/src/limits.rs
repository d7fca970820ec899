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

/// Refuses what is too large; `what` names the quantity and its unit.
pub(crate) fn check(what: &'static str, found: u64, limit: u64) -> Result<(), Error> {
    if found > limit { Err(Error::Limit { what, found, limit, raise: raised_by(what) }) } else { Ok(()) }
}

/// The option of the command, if there is one, and the field of [`Limits`] that raise the limit of a quantity.
fn raised_by(what: &str) -> &'static str {
    match what {
        "a frame's number of pixels" => "--max-image-pixels or Limits::image.max_pixels",
        "a frame's width in pixels" => "--max-image-side or Limits::image.max_width",
        "a frame's height in pixels" => "--max-image-side or Limits::image.max_height",
        "the file's size in bytes" => "Limits::image.max_bytes",
        "the video's size in bytes" => "Limits::max_bytes",
        "the number of sampled frames" => "Limits::max_sampled_frames",
        _ => "Limits::max_frames",
    }
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
