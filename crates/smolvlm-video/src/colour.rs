//! Decoded frames to RGB.

use crate::Error;
use ffmpeg_next as ffmpeg;
use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;
use ffmpeg_next::software::scaling::{Context, Flags};
use smolvlm_image::Rgb;

/// Converts frames to RGB, by the matrix that each is tagged with.
///
/// FFmpeg's scaler, as far as it can be called safely, knows the matrix of standard definition (BT.601) only, which is also
/// what it takes for frames without a tag. It converts those, with bilinear chroma as PyAV has it; of others it makes planes
/// of full size, and the matrix follows here.
#[derive(Default)]
pub(crate) struct Converter {
    scaler: Option<Context>,
}

impl Converter {
    pub(crate) fn rgb(&mut self, frame: &frame::Video) -> Result<Rgb, Error> {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let matrix = Matrix::of(frame);
        let target = if matrix.is_some() { Pixel::YUV444P } else { Pixel::RGB24 };
        let mut out = frame::Video::empty();
        self.scaler(frame, target)?.run(frame, &mut out).map_err(decode_error)?;
        let lines = |plane: usize| out.data(plane).chunks(out.stride(plane).max(1)).take(height);
        let mut data = Vec::with_capacity(width * height * 3);
        match matrix {
            None => lines(0).for_each(|line| data.extend_from_slice(line.get(..width * 3).unwrap_or_default())),
            Some(matrix) => {
                for ((luma, blue), red) in lines(0).zip(lines(1)).zip(lines(2)) {
                    let pixels = luma.iter().zip(blue).zip(red).take(width);
                    pixels.for_each(|((&y, &b), &r)| data.extend(matrix.rgb(y, b, r)));
                }
            }
        }
        Rgb::new(frame.width(), frame.height(), data).map_err(|source| Error::Processor { source })
    }

    /// The scaler for frames like this one; it is made anew when they change.
    fn scaler(&mut self, frame: &frame::Video, target: Pixel) -> Result<&mut Context, Error> {
        let (format, width, height) = (frame.format(), frame.width(), frame.height());
        if format == Pixel::None {
            return Err(Error::Decode { message: "the frame has no pixel format".to_owned() });
        }
        let fits = |scaler: &Context| {
            let (from, to) = (scaler.input(), scaler.output());
            (from.format, from.width, from.height, to.format) == (format, width, height, target)
        };
        let scaler = match self.scaler.take().filter(fits) {
            Some(scaler) => scaler,
            None => {
                Context::get(format, width, height, target, width, height, Flags::BILINEAR).map_err(decode_error)?
            }
        };
        Ok(self.scaler.insert(scaler))
    }
}

/// `Y'CbCr` to RGB in 16-bit fixed point (ITU-T H.273, section 8.3, with 8 bits).
#[derive(Clone, Copy)]
struct Matrix {
    black: i32,
    luma: i32,
    /// Red from `Cr`, green from `Cb` and `Cr`, blue from `Cb`.
    chroma: [i32; 4],
}

impl Matrix {
    /// The matrix of a frame, unless it is that of standard definition.
    fn of(frame: &frame::Video) -> Option<Self> {
        // Weights of red and blue in the luma.
        let (red, blue) = match frame.color_space() {
            Space::BT709 => (0.2126, 0.0722),
            Space::BT2020NCL => (0.2627, 0.0593),
            Space::SMPTE240M => (0.212, 0.087),
            _ => return None,
        };
        // Of 256 levels, video uses 16 to 235 for luma and 16 to 240 for chroma, unless it says otherwise.
        let (black, luma, chroma) = match frame.color_range() {
            Range::JPEG => (0, 1.0, 1.0),
            _ => (16, 255.0 / 219.0, 255.0 / 224.0),
        };
        let fixed = |value: f64| (value * f64::from(1 << 16)).round() as i32;
        let green = 1.0 - red - blue;
        let from_red = 2.0 * (1.0 - red) * chroma;
        let from_blue = 2.0 * (1.0 - blue) * chroma;
        let parts = [from_red, -from_blue * blue / green, -from_red * red / green, from_blue];
        Some(Self { black, luma: fixed(luma), chroma: parts.map(fixed) })
    }

    fn rgb(self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let luma = (i32::from(y) - self.black) * self.luma + (1 << 15);
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let [red, green_blue, green_red, blue] = self.chroma;
        let level = |value: i32| (value >> 16).clamp(0, 255) as u8;
        [level(luma + red * cr), level(luma + green_blue * cb + green_red * cr), level(luma + blue * cb)]
    }
}

pub(crate) fn decode_error(error: ffmpeg::Error) -> Error {
    Error::Decode { message: error.to_string().to_lowercase() }
}
