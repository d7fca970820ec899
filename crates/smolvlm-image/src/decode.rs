//! Files to pixels.

use crate::colour::to_rgb;
use crate::jpeg::Jpeg;
use crate::limits::check;
use crate::orientation;
use crate::{Error, Limits, Rgb};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::io::{Cursor, Read};
use std::path::Path;

/// Decodes a file's bytes: the first frame, turned as its EXIF data says, in RGB.
///
/// # Errors
///
/// [`Error::Empty`], [`Error::UnknownFormat`], [`Error::Limit`] before any pixel is decoded, and [`Error::Decode`] for a
/// damaged or truncated file.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Error> {
    let mut file = File::open(bytes, limits)?;
    let orientation = file.orientation();
    Ok(orientation::apply(file.pixels()?, orientation))
}

/// Reads and decodes a file.
///
/// # Errors
///
/// [`Error::Io`] when it cannot be read; otherwise as [`decode`], within [`Error::File`].
pub fn decode_file(path: &Path, limits: &Limits) -> Result<Rgb, Error> {
    let bytes = read(path, limits.max_bytes)?;
    decode(&bytes, limits).map_err(|source| Error::File { path: path.to_owned(), source: Box::new(source) })
}

/// Height and width of the image that [`decode`] would give, from the file's header alone.
///
/// # Errors
///
/// As [`decode`], except for damage beyond the header.
pub fn dimensions(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), Error> {
    let mut file = File::open(bytes, limits)?;
    let (width, height) = file.size();
    Ok(if orientation::is_turned(file.orientation()) { (width, height) } else { (height, width) })
}

/// As [`dimensions`], of a file.
///
/// # Errors
///
/// [`Error::Io`] when it cannot be read; otherwise as [`dimensions`], within [`Error::File`].
pub fn file_dimensions(path: &Path, limits: &Limits) -> Result<(u32, u32), Error> {
    let bytes = read(path, limits.max_bytes)?;
    dimensions(&bytes, limits).map_err(|source| Error::File { path: path.to_owned(), source: Box::new(source) })
}

/// A file whose header has been read and is within the limits.
enum File<'a> {
    Jpeg(Box<Jpeg<'a>>),
    Other(ImageFormat, Box<dyn ImageDecoder + 'a>),
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Err(Error::Empty);
        }
        check("the file's size in bytes", bytes.len() as u64, limits.max_bytes)?;
        let format = image::guess_format(bytes).map_err(|_| Error::UnknownFormat)?;
        if let Some((width, height)) = png_size(bytes) {
            check_size(width, height, limits)?;
        }
        let file = if format == ImageFormat::Jpeg {
            File::Jpeg(Box::new(Jpeg::open(bytes).map_err(|error| decode_error(format, &error.to_string()))?))
        } else {
            let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
            // The decoder's own memory: pixels of up to 16 bits and four channels, and its working space.
            let mut memory = image::Limits::no_limits();
            memory.max_alloc = Some(limits.max_pixels.saturating_mul(10).saturating_add(64 << 20));
            reader.limits(memory);
            let decoder = reader.into_decoder().map_err(|error| match error {
                image::ImageError::Unsupported(_) if !format.reading_enabled() => Error::UnknownFormat,
                error => decode_error(format, &error.to_string()),
            })?;
            File::Other(format, Box::new(decoder))
        };
        let (width, height) = file.size();
        check_size(width, height, limits)?;
        Ok(file)
    }

    /// Width and height in pixels, as stored.
    fn size(&self) -> (u32, u32) {
        match self {
            File::Jpeg(jpeg) => jpeg.size(),
            File::Other(_, decoder) => decoder.dimensions(),
        }
    }

    /// How the image is to be turned. What cannot be read asks for nothing.
    fn orientation(&mut self) -> Orientation {
        let orientation = match self {
            File::Jpeg(jpeg) => jpeg.orientation(),
            File::Other(_, decoder) => decoder.orientation().ok(),
        };
        orientation.unwrap_or(Orientation::NoTransforms)
    }

    fn pixels(self) -> Result<Rgb, Error> {
        let (width, height) = self.size();
        match self {
            File::Jpeg(jpeg) => {
                let pixels = jpeg.pixels();
                let data = pixels.map_err(|error| decode_error(ImageFormat::Jpeg, &error.to_string()))?;
                Rgb::new(width, height, data)
            }
            File::Other(format, decoder) => {
                let image = DynamicImage::from_decoder(decoder);
                Ok(to_rgb(image.map_err(|error| decode_error(format, &error.to_string()))?))
            }
        }
    }
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

fn decode_error(format: ImageFormat, message: &str) -> Error {
    // One line, whatever the decoder wrote.
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Decode { format: format!("{format:?}").to_uppercase(), message }
}

/// Reads a file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    // Asked before opening: opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    // One byte more than allowed, so that `decode` sees that it is too much.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}
