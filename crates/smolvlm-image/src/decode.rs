//! Decoding of image files.

use crate::bmp::Bmp;
use crate::format::ImageFormat;
use crate::gif::Gif;
use crate::jpeg::Jpeg;
use crate::orientation::{self, Orientation};
use crate::png::Png;
use crate::tiff::Tiff;
use crate::webp::Webp;
use crate::{Error, Limits, Rgb};
use std::io::Read;
use std::path::Path;

/// Decodes the first frame of an encoded image to RGB and applies its EXIF orientation.
///
/// # Errors
///
/// [`Error::Empty`], [`Error::UnknownFormat`], [`Error::Limit`] before any pixel is decoded, and [`Error::Decode`] for
/// a damaged or truncated file.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Error> {
    let file = File::open(bytes, limits)?;
    let orientation = file.orientation();
    Ok(orientation::apply(file.pixels()?, orientation))
}

/// Reads and decodes a file.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; otherwise those of [`decode`], wrapped in [`Error::File`].
pub fn decode_file(path: &Path, limits: &Limits) -> Result<Rgb, Error> {
    let bytes = read(path, limits.max_bytes)?;
    decode(&bytes, limits).map_err(|source| Error::File { path: path.to_owned(), source: Box::new(source) })
}

/// Height and width of the image that [`decode`] would return, from the header only.
///
/// # Errors
///
/// As [`decode`], except that damage beyond the header is not detected.
pub fn dimensions(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), Error> {
    let file = File::open(bytes, limits)?;
    let (width, height) = file.size();
    Ok(if file.orientation().transposed { (width, height) } else { (height, width) })
}

/// As [`dimensions`], for a file.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; otherwise those of [`dimensions`], wrapped in [`Error::File`].
pub fn file_dimensions(path: &Path, limits: &Limits) -> Result<(u32, u32), Error> {
    let bytes = read(path, limits.max_bytes)?;
    dimensions(&bytes, limits).map_err(|source| Error::File { path: path.to_owned(), source: Box::new(source) })
}

/// A file whose header has been parsed and is within the limits.
enum File<'a> {
    Jpeg(Box<Jpeg<'a>>, Orientation),
    Png(Box<Png<'a>>),
    Gif(Gif<'a>),
    Bmp(Bmp<'a>),
    Tiff(Box<Tiff<'a>>),
    Webp(Box<Webp<'a>>),
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Err(Error::Empty);
        }
        limits.check_bytes(bytes.len())?;
        let format = ImageFormat::of(bytes).ok_or(Error::UnknownFormat)?;
        // An oversized image is reported as such, whatever else is wrong with the file.
        if let Some((width, height)) = Png::header_size(bytes) {
            limits.check_size(width, height)?;
        }
        let file = match format {
            ImageFormat::Jpeg => Jpeg::open(bytes)
                .map(|jpeg| File::Jpeg(Box::new(jpeg), orientation::of_jpeg(bytes).orientation()))
                .map_err(|error| error.to_string()),
            ImageFormat::Png => Png::open(bytes).map(|png| File::Png(Box::new(png))),
            ImageFormat::Gif => Gif::open(bytes).map(File::Gif),
            ImageFormat::Bmp => Bmp::open(bytes).map(File::Bmp),
            ImageFormat::Tiff => Tiff::open(bytes).map(|tiff| File::Tiff(Box::new(tiff))),
            ImageFormat::Webp => Webp::open(bytes).map(|webp| File::Webp(Box::new(webp))),
        };
        let file = file.map_err(|message| decode_error(format, &message))?;
        let (width, height) = file.size();
        limits.check_size(width, height)?;
        if width == 0 || height == 0 {
            return Err(decode_error(format, &format!("it has {width} x {height} pixels")));
        }
        Ok(file)
    }

    /// Width and height in pixels, as stored.
    fn size(&self) -> (u32, u32) {
        match self {
            File::Jpeg(jpeg, _) => jpeg.size(),
            File::Png(png) => png.size(),
            File::Gif(gif) => gif.size(),
            File::Bmp(bmp) => bmp.size(),
            File::Tiff(tiff) => tiff.size(),
            File::Webp(webp) => webp.size(),
        }
    }

    /// The orientation to apply.
    fn orientation(&self) -> Orientation {
        match self {
            File::Jpeg(_, orientation) => *orientation,
            File::Png(png) => png.orientation(),
            File::Tiff(tiff) => tiff.orientation(),
            File::Webp(webp) => webp.orientation(),
            File::Gif(_) | File::Bmp(_) => Orientation::default(),
        }
    }

    fn pixels(self) -> Result<Rgb, Error> {
        let (width, height) = self.size();
        let (format, data) = match self {
            File::Jpeg(jpeg, _) => (ImageFormat::Jpeg, jpeg.pixels().map_err(|error| error.to_string())),
            File::Png(png) => (ImageFormat::Png, png.pixels()),
            File::Gif(gif) => (ImageFormat::Gif, gif.pixels()),
            File::Bmp(bmp) => (ImageFormat::Bmp, bmp.pixels()),
            File::Tiff(tiff) => (ImageFormat::Tiff, tiff.pixels()),
            File::Webp(webp) => (ImageFormat::Webp, webp.pixels()),
        };
        Rgb::new(width, height, data.map_err(|message| decode_error(format, &message))?)
    }
}

/// The error of a decoder, from its message.
pub(crate) fn decode_error(format: ImageFormat, message: &str) -> Error {
    // One line, whatever the decoder wrote.
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Decode { format: format.to_string(), message }
}

/// Reads a file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    // Checked before opening, because opening a pipe blocks until there is a writer.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    // Reads one byte more than allowed, so that `decode` detects an oversized file.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}
