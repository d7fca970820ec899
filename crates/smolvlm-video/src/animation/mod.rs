//! Animated GIF, WebP and PNG files.

mod frames;

use crate::limits::Deadline;
use crate::{Error, FrameSink, FrameSource, FrameStamp, Limits, Ratio, VideoMetadata, VideoNote};
use frames::Frames;
use image::ImageFormat;
use std::sync::Arc;

/// Microseconds per second.
const MICROSECONDS: u64 = 1_000_000;

/// An animation in memory. Frames depend on earlier ones, so that every read decodes from the start.
#[derive(Debug, Clone)]
pub(crate) struct Animation {
    bytes: Arc<[u8]>,
    format: ImageFormat,
    metadata: VideoMetadata,
    /// Start time of each frame in microseconds.
    starts: Vec<u64>,
    notes: Vec<VideoNote>,
    limits: Limits,
}

impl Animation {
    /// Decodes the file once to count its frames and their times. For a damaged or truncated file, the frames before
    /// the damage are used. `None` if the file is not an animation.
    pub(crate) fn open(bytes: Arc<[u8]>, format: ImageFormat, limits: &Limits) -> Result<Option<Self>, Error> {
        let Some(mut frames) = Frames::open(&bytes, format, limits)? else { return Ok(None) };
        let ((width, height), is_truncated) = (frames.size, frames.is_truncated);
        let deadline = Deadline::of(limits);
        let mut starts = Vec::new();
        let mut end: u64 = 0;
        let mut damage = None;
        loop {
            deadline.check()?;
            let frame = match frames.next(false) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    damage = Some(error);
                    break;
                }
            };
            starts.push(end);
            end = end.saturating_add(frame.duration);
            limits.check_frames(starts.len())?;
        }
        drop(frames);
        let count = starts.len() as u64;
        let metadata = VideoMetadata {
            frames: starts.len(),
            // The average, since durations of frames may differ.
            fps: count.checked_mul(MICROSECONDS).and_then(|parts| Ratio::new(parts, end)),
            duration: Ratio::new(end, MICROSECONDS),
            height,
            width,
        };
        if starts.is_empty() {
            return Err(damage.unwrap_or(if is_truncated { Error::NoCompleteFrame } else { Error::NoFrames }));
        }
        let note = VideoNote::Truncated { frames: starts.len(), declared: None };
        let notes = if damage.is_some() || is_truncated { vec![note] } else { Vec::new() };
        Ok(Some(Self { bytes, format, metadata, starts, notes, limits: limits.clone() }))
    }
}

impl FrameSource for Animation {
    fn metadata(&self) -> &VideoMetadata {
        &self.metadata
    }

    fn stamp(&self, index: usize) -> FrameStamp {
        let time = self.starts.get(index).and_then(|&start| Ratio::new(start, MICROSECONDS));
        FrameStamp { index, time }
    }

    fn notes(&self) -> &[VideoNote] {
        &self.notes
    }

    fn read(&mut self, indices: &[usize], sink: &mut FrameSink<'_>) -> Result<(), Error> {
        let deadline = Deadline::of(&self.limits);
        let mut wanted = indices.iter().copied().peekable();
        let mut frames = Frames::open(&self.bytes, self.format, &self.limits)?;
        let mut index = 0;
        while let (Some(&next), Some(frames)) = (wanted.peek(), &mut frames) {
            deadline.check()?;
            let Some(frame) = frames.next(index == next)? else { break };
            if let Some(image) = frame.image {
                wanted.next();
                sink(index, &image)?;
            }
            index += 1;
        }
        match wanted.next() {
            Some(index) => Err(Error::MissingFrame { index, frames: self.metadata.frames }),
            None => Ok(()),
        }
    }
}
