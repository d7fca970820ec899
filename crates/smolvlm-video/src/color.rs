//! Conversion of frames decoded by FFmpeg's libraries to RGB.

use crate::Error;
use crate::matrix::{BT601, BT709, BT2020, Matrix, SMPTE240M};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;
use ffmpeg_next::software::scaling::{Context, Flags};
use smolvlm_image::Rgb;

/// Converts frames to RGB with the color matrix in their metadata.
///
/// Through its safe API, FFmpeg's scaler supports only BT.601, which is also the default for frames without a color
/// space, and full range only in pixel formats that imply it. It converts such frames with bilinear chroma, like PyAV.
/// Other frames are scaled to 4:4:4 planes, to which the matrix is applied here.
#[derive(Default)]
pub(crate) struct Converter {
    scaler: Option<Context>,
}

impl Converter {
    pub(crate) fn rgb(&mut self, frame: &frame::Video) -> Result<Rgb, Error> {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let (matrix, target) = conversion(frame);
        let mut out = frame::Video::empty();
        self.scaler(frame, target)?.run(frame, &mut out).map_err(decode_error)?;
        let lines = |plane: usize| out.data(plane).chunks(out.stride(plane).max(1)).take(height);
        let mut data = Vec::with_capacity(width * height * 3);
        match matrix {
            None => lines(0).for_each(|line| data.extend_from_slice(line.get(..width * 3).unwrap_or_default())),
            Some(matrix) => {
                for ((luma, blue), red) in lines(0).zip(lines(1)).zip(lines(2)) {
                    let luma = luma.get(..width).unwrap_or_default();
                    matrix.append_row(luma, blue, red, &mut data);
                }
            }
        }
        Rgb::new(frame.width(), frame.height(), data).map_err(|source| Error::Processor { source })
    }

    /// The scaler for this frame's format and size; it is recreated when they change.
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

/// The matrix of a frame, unless the scaler supports it, and the scaler's target format.
fn conversion(frame: &frame::Video) -> (Option<Matrix>, Pixel) {
    let weights = match frame.color_space() {
        Space::BT709 => Some(BT709),
        Space::BT2020NCL => Some(BT2020),
        Space::SMPTE240M => Some(SMPTE240M),
        Space::RGB => None,
        _ => Some(BT601),
    };
    let is_full = frame.color_range() == Range::JPEG;
    // Pixel formats that imply full range; conversion to another format would compress the range.
    let full_name = matches!(
        frame.format(),
        Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P | Pixel::YUVJ411P
    );
    let known = weights.is_none() || weights == Some(BT601) && (full_name || !is_full);
    match weights {
        Some(weights) if !known => {
            let target = if full_name { Pixel::YUVJ444P } else { Pixel::YUV444P };
            (Some(Matrix::new(weights, is_full || full_name)), target)
        }
        _ => (None, Pixel::RGB24),
    }
}

pub(crate) fn decode_error(error: ffmpeg::Error) -> Error {
    Error::Decode { message: error.to_string().to_lowercase() }
}
