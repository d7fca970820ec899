//! Opening of videos by the contents of their files.

use crate::animation::Animation;
use crate::container::{Bytes, Container};
use crate::programs::Programs;
use crate::{Error, FrameFolder, FrameImage, FrameSource, Frames, Limits, MediaKind};
use image::ImageFormat;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::Path;
use std::sync::Arc;

/// A video to open.
#[derive(Debug, Clone)]
pub enum VideoInput<'a> {
    /// A file, or a folder of images.
    Path(&'a Path),
    /// The contents of a file.
    Bytes(Arc<[u8]>),
}

/// Opens a video and reads its metadata. The contents of the file determine its format: an animation, a single image (a
/// video of one frame) or a container.
///
/// Containers are decoded by FFmpeg's libraries with the cargo feature `ffmpeg`, and otherwise by its programs. With
/// [`Limits::isolation`], they are decoded by the programs in any case.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Empty`], [`Error::NoFrames`], [`Error::NoCompleteFrame`], [`Error::EmptyFolder`],
/// [`Error::UnreadableFolder`], [`Error::NoVideoStream`], [`Error::MissingIndex`], [`Error::NeedsFfmpeg`],
/// [`Error::Decode`], [`Error::Limit`] and [`Error::Deadline`]; for a file, wrapped in [`Error::File`].
pub fn open(input: VideoInput<'_>, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    open_by(input, limits, container)
}

/// As [`open`], but decodes containers with the programs `ffprobe` and `ffmpeg`, regardless of cargo features.
///
/// # Errors
///
/// As [`open`].
pub fn open_with_programs(input: VideoInput<'_>, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    open_by(input, limits, container_by_programs)
}

/// Opens a container.
type OpenContainer = fn(Bytes, &Limits) -> Result<Box<dyn FrameSource>, Error>;

fn open_by(input: VideoInput<'_>, limits: &Limits, container: OpenContainer) -> Result<Box<dyn FrameSource>, Error> {
    match input {
        VideoInput::Path(path) => open_path(path, limits, container).map_err(|error| error.in_file(path)),
        VideoInput::Bytes(bytes) => {
            limits.check_bytes(bytes.len() as u64)?;
            if bytes.is_empty() {
                return Err(Error::Empty);
            }
            let kind = MediaKind::of_bytes(&mut Cursor::new(&bytes), "").ok().flatten();
            match image_format(&bytes, kind) {
                Some(format) => images(bytes, format, limits),
                None => container(Bytes::Memory(bytes), limits),
            }
        }
    }
}

fn open_path(path: &Path, limits: &Limits, container: OpenContainer) -> Result<Box<dyn FrameSource>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    // Checked before opening, because opening a pipe blocks until there is a writer.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        return Ok(Box::new(FrameFolder::open(path, limits)?));
    }
    if !metadata.is_file() {
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    if metadata.len() == 0 {
        return Err(Error::Empty);
    }
    limits.check_bytes(metadata.len())?;
    let mut file = File::open(path).map_err(io)?;
    let name = path.to_str().unwrap_or_default();
    let kind = MediaKind::of_bytes(&mut BufReader::new(&mut file), name).map_err(io)?;
    file.rewind().map_err(io)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head).map_err(io)?;
    match image_format(&head, kind) {
        Some(format) => {
            // One byte more than allowed, so that an oversized file is detected.
            file.take(limits.image.max_bytes.saturating_add(1)).read_to_end(&mut head).map_err(io)?;
            images(head.into(), format, limits)
        }
        None => container(Bytes::File(path.to_owned()), limits),
    }
}

/// Number of bytes read to detect an image format.
const HEAD: u64 = 64;

/// The image format of a file of this kind, if it is an image or an animation. A stream of JPEG images is neither.
fn image_format(head: &[u8], kind: Option<MediaKind>) -> Option<ImageFormat> {
    let format = image::guess_format(head).ok().filter(ImageFormat::reading_enabled)?;
    (format != ImageFormat::Jpeg || kind == Some(MediaKind::Image)).then_some(format)
}

/// Opens an animation, or an image as a video of one frame.
fn images(bytes: Arc<[u8]>, format: ImageFormat, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    limits.check_image_bytes(bytes.len())?;
    Ok(match Animation::open(bytes.clone(), format, limits)? {
        Some(animation) => Box::new(animation),
        None => Box::new(Frames::new(vec![FrameImage::Bytes(bytes)], None, None, limits)?),
    })
}

fn container_by_programs(bytes: Bytes, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    Ok(Box::new(Container::open(bytes, limits, Programs::open)?))
}

#[cfg(feature = "ffmpeg")]
fn container(bytes: Bytes, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    if limits.isolation.is_some() {
        return container_by_programs(bytes, limits);
    }
    Ok(Box::new(Container::open(bytes, limits, crate::libraries::Libraries::open)?))
}

#[cfg(not(feature = "ffmpeg"))]
fn container(bytes: Bytes, limits: &Limits) -> Result<Box<dyn FrameSource>, Error> {
    container_by_programs(bytes, limits)
}
