//! Files to pixels.

use crate::colour::to_rgb;
use crate::{Error, Limits, Rgb, jpeg};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::io::Cursor;

/// Decodes a file's bytes: the first frame, turned as its EXIF data says, in RGB.
///
/// # Errors
///
/// [`Error::Empty`], [`Error::UnknownFormat`], [`Error::Limit`] before any pixel is decoded, and [`Error::Decode`] for a
/// damaged or truncated file.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Error> {
    let (format, mut decoder) = open(bytes, limits)?;
    let failed = |error: image::ImageError| decode_error(format, &error);
    if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        return Err(Error::Decode { format: name(format), message: "the file is truncated".into() });
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    Ok(to_rgb(image))
}

/// Height and width of the image that [`decode`] would give, from the file's header alone.
///
/// # Errors
///
/// As [`decode`], except for damage beyond the header.
pub fn dimensions(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), Error> {
    let (_, mut decoder) = open(bytes, limits)?;
    let (width, height) = decoder.dimensions();
    let turned = matches!(
        decoder.orientation().unwrap_or(Orientation::NoTransforms),
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    Ok(if turned { (width, height) } else { (height, width) })
}

/// A decoder that has read the header and found it within the limits.
fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(ImageFormat, impl ImageDecoder + 'a), Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    check("the file's size in bytes", bytes.len() as u64, limits.max_bytes)?;
    let format = image::guess_format(bytes).map_err(|_| Error::UnknownFormat)?;
    if let Some((width, height)) = png_size(bytes) {
        check_size(width, height, limits)?;
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The decoder's own memory: pixels of up to 16 bits and four channels, and its working space.
    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(limits.max_pixels.saturating_mul(10).saturating_add(64 << 20));
    reader.limits(memory);
    let decoder = reader.into_decoder().map_err(|error| match error {
        image::ImageError::Unsupported(_) if !format.reading_enabled() => Error::UnknownFormat,
        error => decode_error(format, &error),
    })?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    Ok((format, decoder))
}

/// The size in a PNG file's header. The decoder looks further before it tells the size, and stumbles over what it finds in
/// a file that is nothing but a huge promise.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let header =
        bytes.get(..24).filter(|header| header.starts_with(b"\x89PNG\r\n\x1a\n") && &header[12..16] == b"IHDR")?;
    let number = |at: usize| header[at..at + 4].iter().fold(0, |number, &byte| number << 8 | u32::from(byte));
    Some((number(16), number(20)))
}

fn check_size(width: u32, height: u32, limits: &Limits) -> Result<(), Error> {
    check("the image's width in pixels", width.into(), limits.max_width.into())?;
    check("the image's height in pixels", height.into(), limits.max_height.into())?;
    check("the image's number of pixels", u64::from(width) * u64::from(height), limits.max_pixels)
}

fn check(what: &'static str, found: u64, limit: u64) -> Result<(), Error> {
    if found > limit { Err(Error::Limit { what, found, limit }) } else { Ok(()) }
}

fn decode_error(format: ImageFormat, error: &image::ImageError) -> Error {
    // One line, whatever the decoder wrote.
    let message = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Decode { format: name(format), message }
}

fn name(format: ImageFormat) -> String {
    format!("{format:?}").to_uppercase()
}
