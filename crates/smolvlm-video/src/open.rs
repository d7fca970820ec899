//! Files to sources, by what they hold.

use crate::animation::Animation;
use crate::limits::check;
use crate::{Error, FrameImage, FrameSource, Frames, Limits, frame_files};
use image::ImageFormat;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// Where a video comes from.
#[derive(Debug, Clone)]
pub enum VideoInput<'a> {
    /// A file, or a folder of images.
    Path(&'a Path),
    /// The bytes of a file.
    Bytes(Arc<[u8]>),
}

/// Opens a video and reads what can be known without decoding it. What a file is, its first bytes say: an animation, a
/// single image (a video of one frame) or a container.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Empty`], [`Error::NoFrames`], [`Error::NoVideoStream`], [`Error::NeedsFfmpeg`],
/// [`Error::Decode`], [`Error::Limit`] and [`Error::Deadline`]; about a file, within [`Error::File`].
pub fn open(input: VideoInput<'_>, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    match input {
        VideoInput::Path(path) => open_path(path, limits).map_err(|error| error.in_file(path)),
        VideoInput::Bytes(bytes) => {
            check("the video's size in bytes", bytes.len() as u64, limits.max_bytes)?;
            match image_format(&bytes) {
                _ if bytes.is_empty() => Err(Error::Empty),
                Some(format) => images(bytes, format, limits),
                None => container_of_bytes(bytes, limits),
            }
        }
    }
}

fn open_path(path: &Path, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    // Asked before opening: opening a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        let images = frame_files(path, limits)?.into_iter().map(FrameImage::Path).collect();
        return Ok(Box::new(Frames::new(images, None, None, limits)?));
    }
    if !metadata.is_file() {
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    check("the video's size in bytes", metadata.len(), limits.max_bytes)?;
    let mut file = File::open(path).map_err(io)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head).map_err(io)?;
    match image_format(&head) {
        _ if head.is_empty() => Err(Error::Empty),
        Some(format) => {
            // One byte more than allowed, so that it shows.
            file.take(limits.image.max_bytes.saturating_add(1)).read_to_end(&mut head).map_err(io)?;
            images(head.into(), format, limits)
        }
        None => container_of_file(path, limits),
    }
}

/// Bytes that tell a format.
const HEAD: u64 = 64;

/// The image format of a file, if it is one.
fn image_format(head: &[u8]) -> Option<ImageFormat> {
    image::guess_format(head).ok().filter(ImageFormat::reading_enabled)
}

/// An animation, or a video of one image.
fn images(bytes: Arc<[u8]>, format: ImageFormat, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    check("the file's size in bytes", bytes.len() as u64, limits.image.max_bytes)?;
    Ok(match Animation::open(bytes.clone(), format, limits)? {
        Some(animation) => Box::new(animation),
        None => Box::new(Frames::new(vec![FrameImage::Bytes(bytes)], None, None, limits)?),
    })
}

#[cfg(feature = "ffmpeg")]
fn container_of_file(path: &Path, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    use crate::container::{Bytes, Container};
    Ok(Box::new(Container::open(Bytes::File(path.to_owned()), limits)?))
}

#[cfg(feature = "ffmpeg")]
fn container_of_bytes(bytes: Arc<[u8]>, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    use crate::container::{Bytes, Container};
    Ok(Box::new(Container::open(Bytes::Memory(bytes), limits)?))
}

#[cfg(not(feature = "ffmpeg"))]
fn container_of_file(_: &Path, _: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    Err(Error::NeedsFfmpeg)
}

#[cfg(not(feature = "ffmpeg"))]
fn container_of_bytes(_: Arc<[u8]>, _: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    Err(Error::NeedsFfmpeg)
}
