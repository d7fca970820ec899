//! Animated GIF, WebP and PNG files.

use crate::limits::{Deadline, check};
use crate::{Error, FrameSink, FrameSource, FrameStamp, Limits, Ratio, VideoMetadata, VideoNote};
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
    notes: Vec<VideoNote>,
    limits: Limits,
}

impl Animation {
    /// Decodes the file once, to count its frames and their times. Of a file that is damaged or cut off, the frames before that
    /// are used. None for a file that is no animation.
    pub(crate) fn open(bytes: Arc<[u8]>, format: ImageFormat, limits: &Limits) -> Result<Option<Self>, Error> {
        let shortened = if format == ImageFormat::WebP { whole_chunks(&bytes) } else { None };
        let is_cut_off = shortened.is_some();
        let bytes = shortened.map_or(bytes, Arc::from);
        let Some(((width, height), frames)) = frames(&bytes, format, limits)? else { return Ok(None) };
        let deadline = Deadline::after(limits.deadline);
        let mut starts = Vec::new();
        let mut end: u64 = 0;
        let mut damage = None;
        for frame in frames {
            deadline.check()?;
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    damage = Some(decode_error(error));
                    break;
                }
            };
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
            return Err(damage.unwrap_or(if is_cut_off { Error::NoWholeFrame } else { Error::NoFrames }));
        }
        let note = VideoNote::EndsEarly { frames: starts.len(), announced: None };
        let notes = if damage.is_some() || is_cut_off { vec![note] } else { Vec::new() };
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

/// A WebP file that is shorter than it announces, without its incomplete last chunk and with the length that it has; none for a
/// whole file. The decoder would refuse it.
fn whole_chunks(bytes: &[u8]) -> Option<Vec<u8>> {
    let size = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    if size(4)?.checked_add(8)? <= bytes.len() {
        return None;
    }
    let mut end = 12;
    while let Some(next) = size(end + 4).and_then(|size| end.checked_add(8)?.checked_add(size)?.checked_add(size % 2)) {
        if next > bytes.len() {
            break;
        }
        end = next;
    }
    let mut whole = bytes.get(..end)?.to_vec();
    let length = u32::try_from(end - 8).ok()?;
    whole.get_mut(4..8)?.copy_from_slice(&length.to_le_bytes());
    Some(whole)
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
