//! Animated GIF, WebP and PNG files.

use crate::limits::{Deadline, check};
use crate::{Error, FrameSink, FrameSource, FrameStamp, Limits, Ratio, VideoMetadata};
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, Delay, ImageDecoder, ImageFormat, ImageResult};
use smolvlm_image::Rgb;
use std::io::Cursor;
use std::sync::Arc;

/// How long a frame is shown that asks for no time at all: what browsers do with such files.
const NO_DELAY: u64 = 100_000;

/// Times are counted in millionths of a second.
const MICROSECONDS: u64 = 1_000_000;

/// An animation in memory. Its frames build on each other, so it is decoded from the start whenever it is read.
#[derive(Debug, Clone)]
pub(crate) struct Animation {
    bytes: Arc<[u8]>,
    format: ImageFormat,
    metadata: VideoMetadata,
    /// When each frame is shown, in microseconds.
    starts: Vec<u64>,
    limits: Limits,
}

impl Animation {
    /// Decodes the file once, to count its frames and their times. None for a file that is no animation.
    pub(crate) fn open(bytes: Arc<[u8]>, format: ImageFormat, limits: &Limits) -> Result<Option<Self>, Error> {
        let Some(((width, height), frames)) = frames(&bytes, format, limits)? else { return Ok(None) };
        let deadline = Deadline::after(limits.deadline);
        let mut starts = Vec::new();
        let mut end: u64 = 0;
        for frame in frames {
            deadline.check()?;
            let frame = frame.map_err(decode_error)?;
            starts.push(end);
            end = end.saturating_add(microseconds(frame.delay()));
            check("the number of frames", starts.len() as u64, limits.max_frames as u64)?;
        }
        let count = starts.len() as u64;
        let metadata = VideoMetadata {
            frames: starts.len(),
            // The average: frames of an animation may be shown for different times.
            fps: count.checked_mul(MICROSECONDS).and_then(|parts| Ratio::new(parts, end)),
            duration: Ratio::new(end, MICROSECONDS),
            height,
            width,
        };
        if starts.is_empty() {
            return Err(Error::NoFrames);
        }
        Ok(Some(Self { bytes, format, metadata, starts, limits: limits.clone() }))
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

    fn read(&mut self, indices: &[usize], sink: &mut FrameSink<'_>) -> Result<(), Error> {
        let deadline = Deadline::after(self.limits.deadline);
        let mut wanted = indices.iter().copied().peekable();
        let all = frames(&self.bytes, self.format, &self.limits)?.into_iter().flat_map(|(_, frames)| frames);
        for (index, frame) in all.enumerate() {
            if wanted.peek().is_none() {
                break;
            }
            deadline.check()?;
            let frame = frame.map_err(decode_error)?;
            if wanted.next_if_eq(&index).is_some() {
                let pixels = frame.into_buffer();
                let image = Rgb::from_rgba(pixels.width(), pixels.height(), pixels.into_raw());
                sink(index, &image.map_err(|source| Error::Frame { index, source })?)?;
            }
        }
        match wanted.next() {
            Some(index) => Err(Error::MissingFrame { index, frames: self.metadata.frames }),
            None => Ok(()),
        }
    }
}

/// Width and height, and the frames, of an animation; none for a still image.
type Decoded<'a> = Option<((u32, u32), image::Frames<'a>)>;

fn frames<'a>(bytes: &'a [u8], format: ImageFormat, limits: &Limits) -> Result<Decoded<'a>, Error> {
    let file = Cursor::new(bytes);
    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(limits.image.max_pixels.saturating_mul(12).saturating_add(64 << 20));
    memory.max_image_width = Some(limits.image.max_width);
    memory.max_image_height = Some(limits.image.max_height);
    let pixels = |(width, height): (u32, u32)| {
        let found = u64::from(width) * u64::from(height);
        check("a frame's number of pixels", found, limits.image.max_pixels)
    };
    let opened: ImageResult<Decoded<'a>> = match format {
        ImageFormat::Gif => GifDecoder::new(file).and_then(|mut decoder| {
            decoder.set_limits(memory)?;
            Ok(Some((decoder.dimensions(), decoder.into_frames())))
        }),
        ImageFormat::WebP => WebPDecoder::new(file).and_then(|mut decoder| {
            decoder.set_limits(memory)?;
            Ok(decoder.has_animation().then(|| (decoder.dimensions(), decoder.into_frames())))
        }),
        ImageFormat::Png => PngDecoder::with_limits(file, memory).and_then(|decoder| {
            let size = decoder.dimensions();
            Ok(if decoder.is_apng()? { Some((size, decoder.apng()?.into_frames())) } else { None })
        }),
        _ => Ok(None),
    };
    let opened = opened.map_err(decode_error)?;
    opened.as_ref().map_or(Ok(()), |(size, _)| pixels(*size))?;
    Ok(opened)
}

fn microseconds(delay: Delay) -> u64 {
    let (numerator, denominator) = delay.numer_denom_ms();
    match u64::from(numerator) * 1000 / u64::from(denominator.max(1)) {
        0 => NO_DELAY,
        time => time,
    }
}

fn decode_error(error: image::ImageError) -> Error {
    // One line, whatever the decoder wrote.
    Error::Decode { message: error.to_string().split_whitespace().collect::<Vec<_>>().join(" ") }
}
