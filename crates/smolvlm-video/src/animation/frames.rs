//! Sequential decoding of the frames of an animation.

use crate::{Error, Limits};
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::{AnimationDecoder, Delay, ImageDecoder, ImageFormat, ImageResult};
use smolvlm_image::{Error as ImageError, Rgb, WebpAnimation};
use std::io::Cursor;

/// Duration in microseconds of frames with a delay of zero, as in browsers.
const NO_DELAY: u64 = 100_000;

/// The frames of an animation in order.
pub(super) struct Frames<'a> {
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// Whether the file is known to be truncated.
    pub(super) is_truncated: bool,
    decoder: Decoder<'a>,
}

enum Decoder<'a> {
    Image(image::Frames<'a>),
    Webp(Box<WebpAnimation<'a>>),
}

/// A decoded frame.
pub(super) struct Frame {
    /// Duration in microseconds.
    pub(super) duration: u64,
    /// The pixels, if requested.
    pub(super) image: Option<Rgb>,
}

impl<'a> Frames<'a> {
    /// Opens a file; `None` if it is not an animation.
    pub(super) fn open(bytes: &'a [u8], format: ImageFormat, limits: &Limits) -> Result<Option<Self>, Error> {
        if format == ImageFormat::WebP {
            let animation = WebpAnimation::open(bytes, &limits.image).map_err(image_error)?;
            return Ok(animation.map(|animation| Self {
                size: animation.size(),
                is_truncated: animation.is_truncated(),
                decoder: Decoder::Webp(Box::new(animation)),
            }));
        }
        let file = Cursor::new(bytes);
        let mut memory = image::Limits::no_limits();
        memory.max_alloc = Some(limits.image.max_pixels.saturating_mul(12).saturating_add(64 << 20));
        memory.max_image_width = Some(limits.image.max_width);
        memory.max_image_height = Some(limits.image.max_height);
        let opened: ImageResult<Option<_>> = match format {
            ImageFormat::Gif => GifDecoder::new(file).and_then(|mut decoder| {
                decoder.set_limits(memory)?;
                Ok(Some((decoder.dimensions(), decoder.into_frames())))
            }),
            ImageFormat::Png => PngDecoder::with_limits(file, memory).and_then(|decoder| {
                let size = decoder.dimensions();
                Ok(if decoder.is_apng()? { Some((size, decoder.apng()?.into_frames())) } else { None })
            }),
            _ => Ok(None),
        };
        let Some((size, frames)) = opened.map_err(decode_error)? else { return Ok(None) };
        limits.check_frame_pixels(size.0, size.1)?;
        Ok(Some(Self { size, is_truncated: false, decoder: Decoder::Image(frames) }))
    }

    /// Decodes the next frame and, if `with_image`, converts its pixels; `None` after the last one.
    pub(super) fn next(&mut self, with_image: bool) -> Result<Option<Frame>, Error> {
        match &mut self.decoder {
            Decoder::Image(frames) => {
                let Some(frame) = frames.next() else { return Ok(None) };
                let frame = frame.map_err(decode_error)?;
                let duration = microseconds(frame.delay());
                let pixels = with_image.then(|| frame.into_buffer());
                let image = pixels.map(|pixels| Rgb::from_rgba(pixels.width(), pixels.height(), pixels.into_raw()));
                Ok(Some(Frame { duration, image: image.transpose().map_err(image_error)? }))
            }
            Decoder::Webp(animation) => {
                let Some(frame) = animation.next_frame().map_err(image_error)? else { return Ok(None) };
                let duration = microseconds(Delay::from_numer_denom_ms(frame.duration(), 1));
                Ok(Some(Frame { duration, image: with_image.then(|| frame.rgb()) }))
            }
        }
    }
}

fn microseconds(delay: Delay) -> u64 {
    let (numerator, denominator) = delay.numer_denom_ms();
    match u64::from(numerator) * 1000 / u64::from(denominator.max(1)) {
        0 => NO_DELAY,
        time => time,
    }
}

fn image_error(error: ImageError) -> Error {
    match error {
        ImageError::Limit { what, found, limit, raise } => Error::Limit { what, found, limit, raise },
        ImageError::Decode { message, .. } => Error::Decode { message },
        error => Error::Decode { message: error.to_string() },
    }
}

fn decode_error(error: image::ImageError) -> Error {
    // Joins the lines of the decoder's message.
    Error::Decode { message: error.to_string().split_whitespace().collect::<Vec<_>>().join(" ") }
}
