//! Videos that are lists of images: folders, files, decoded frames.

use crate::limits::{Deadline, check};
use crate::sniff::is_frame;
use crate::{Error, FrameSink, FrameSource, FrameStamp, Limits, Ratio, VideoMetadata};
use smolvlm_image::{Rgb, decode, decode_file, dimensions, file_dimensions};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One frame of a list.
#[derive(Debug, Clone)]
pub enum FrameImage {
    /// An image file.
    Path(PathBuf),
    /// The bytes of an image file.
    Bytes(Arc<[u8]>),
    /// Pixels.
    Decoded(Arc<Rgb>),
}

/// A video as a list of images, decoded when they are wanted.
#[derive(Debug, Clone)]
pub struct Frames {
    images: Vec<FrameImage>,
    metadata: VideoMetadata,
    limits: Limits,
}

impl Frames {
    /// A video of these frames. With `fps` they are sampled like any other video, without it they are all used.
    ///
    /// # Errors
    ///
    /// [`Error::NoFrames`], [`Error::Limit`], and [`Error::Frame`] when the first frame cannot be read: its size is the
    /// video's.
    pub fn new(
        images: Vec<FrameImage>,
        fps: Option<Ratio>,
        duration: Option<Ratio>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let first = images.first().ok_or(Error::NoFrames)?;
        check("the number of frames", images.len() as u64, limits.max_frames as u64)?;
        let (height, width) = size(first, &limits.image).map_err(|source| Error::Frame { index: 0, source })?;
        let metadata = VideoMetadata { frames: images.len(), fps, duration, height, width };
        Ok(Self { images, metadata, limits: limits.clone() })
    }
}

impl FrameSource for Frames {
    fn metadata(&self) -> &VideoMetadata {
        &self.metadata
    }

    fn stamp(&self, index: usize) -> FrameStamp {
        FrameStamp { index, time: self.metadata.fps.and_then(|fps| fps.time_of(index as u64)) }
    }

    fn read(&mut self, indices: &[usize], sink: &mut FrameSink<'_>) -> Result<(), Error> {
        let deadline = Deadline::after(self.limits.deadline);
        for &index in indices {
            deadline.check()?;
            let missing = Error::MissingFrame { index, frames: self.images.len() };
            let image = self.images.get(index).ok_or(missing)?;
            let image = load(image, &self.limits.image).map_err(|source| Error::Frame { index, source })?;
            sink(index, &image)?;
        }
        Ok(())
    }
}

fn load<'a>(image: &'a FrameImage, limits: &smolvlm_image::Limits) -> Result<Cow<'a, Rgb>, smolvlm_image::Error> {
    Ok(match image {
        FrameImage::Path(path) => Cow::Owned(decode_file(path, limits)?),
        FrameImage::Bytes(bytes) => Cow::Owned(decode(bytes, limits)?),
        FrameImage::Decoded(image) => Cow::Borrowed(image),
    })
}

/// Height and width.
fn size(image: &FrameImage, limits: &smolvlm_image::Limits) -> Result<(u32, u32), smolvlm_image::Error> {
    match image {
        FrameImage::Path(path) => file_dimensions(path, limits),
        FrameImage::Bytes(bytes) => dimensions(bytes, limits),
        FrameImage::Decoded(image) => Ok((image.height(), image.width())),
    }
}

/// The image files of a folder in the order people number them: `frame2.png` before `frame10.png`. Hidden files, folders and
/// files whose names do not end like an image's are left out.
///
/// # Errors
///
/// [`Error::Io`], and [`Error::Limit`] for more than `limits.max_frames` files.
pub fn frame_files(folder: &Path, limits: &Limits) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if is_frame(&path) && path.is_file() {
            files.push(path);
            check("the number of frames", files.len() as u64, limits.max_frames as u64)?;
        }
    }
    files.sort_by_cached_key(|path| natural_key(&path.file_name().unwrap_or_default().to_string_lossy()));
    Ok(files)
}

/// Runs of digits as numbers (without their leading zeros, by length and then by digit), all else as it is.
fn natural_key(name: &str) -> Vec<(usize, String)> {
    let mut key: Vec<(usize, String)> = Vec::new();
    let mut in_number = false;
    for character in name.chars() {
        let digit = character.is_ascii_digit();
        match key.last_mut() {
            Some((digits, run)) if digit && in_number => {
                if run == "0" {
                    run.clear();
                }
                run.push(character);
                *digits = run.len();
            }
            Some((_, run)) if !digit && !in_number => run.push(character),
            _ => key.push((usize::from(digit), character.into())),
        }
        in_number = digit;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::{FrameImage, Frames, frame_files, natural_key};
    use crate::{Error, FrameSource, Limits, Ratio};
    use smolvlm_image::Rgb;
    use std::sync::Arc;

    #[test]
    fn files_come_in_the_order_people_number_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["f10.png", "f2.PNG", "f1.jpg", "notes.txt", "f010b.png", "._f1.jpg", ".f3.png", "Thumbs.db"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let files = frame_files(folder.path(), &Limits::default()).unwrap();
        let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["f1.jpg", "f2.PNG", "f10.png", "f010b.png"]);
        let few = Limits { max_frames: 2, ..Limits::default() };
        assert!(matches!(frame_files(folder.path(), &few), Err(Error::Limit { .. })));
        assert!(matches!(frame_files(&folder.path().join("none"), &few), Err(Error::Io { .. })));
        assert!(natural_key("a9") < natural_key("a10") && natural_key("a009") < natural_key("a10"));
    }

    #[test]
    fn frames_have_times_only_with_a_rate() {
        let images = vec![FrameImage::Decoded(Arc::new(Rgb::new(1, 1, vec![0; 3]).unwrap())); 5];
        let mut times = Vec::new();
        for fps in [None, Ratio::new(5, 2)] {
            let mut video = Frames::new(images.clone(), fps, None, &Limits::default()).unwrap();
            times.extend([0, 4].map(|index| video.stamp(index).time));
            assert!(matches!(video.read(&[5], &mut |_, _| Ok(())), Err(Error::MissingFrame { index: 5, frames: 5 })));
        }
        assert_eq!(times, [None, None, Some(Ratio::whole(0)), Ratio::new(8, 5)]);
        assert!(matches!(Frames::new(Vec::new(), None, None, &Limits::default()), Err(Error::NoFrames)));
    }
}
