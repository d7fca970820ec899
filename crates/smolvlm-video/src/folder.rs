//! Folders of images as videos.

use crate::limits::Deadline;
use crate::sniff::is_frame;
use crate::{Error, FrameSink, FrameSource, FrameStamp, Limits, VideoMetadata, VideoNote};
use smolvlm_image::{decode_file, file_dimensions};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Maximum number of unreadable files named in a note.
const MAX_SHOWN: usize = 8;

/// A folder of image files as a video without times. Files that are damaged or not images are skipped, and a note names
/// them.
#[derive(Debug, Clone)]
pub struct FrameFolder {
    files: Vec<PathBuf>,
    metadata: VideoMetadata,
    unreadable: Unreadable,
    notes: Vec<VideoNote>,
    limits: Limits,
}

/// Files that cannot be read.
#[derive(Debug, Clone, Default)]
struct Unreadable {
    count: usize,
    /// The names of the first ones, each with the reason.
    shown: Vec<String>,
    /// Frame indices of files with a valid header but damaged contents.
    frames: BTreeSet<usize>,
}

impl FrameFolder {
    /// Opens a folder as a video of its [`frame_files`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::EmptyFolder`], [`Error::UnreadableFolder`], [`Error::Limit`], [`Error::Deadline`] and
    /// [`Error::Frame`].
    pub fn open(folder: &Path, limits: &Limits) -> Result<Self, Error> {
        let files = frame_files(folder, limits)?;
        if files.is_empty() { Err(Error::EmptyFolder) } else { Self::new(files, limits) }
    }

    /// Creates a video of these image files and reads their headers.
    ///
    /// # Errors
    ///
    /// [`Error::NoFrames`], [`Error::UnreadableFolder`] if none of the files can be read, [`Error::Limit`],
    /// [`Error::Deadline`], and [`Error::Frame`] for an image over the limits or a file without read permission.
    pub fn new(files: Vec<PathBuf>, limits: &Limits) -> Result<Self, Error> {
        limits.check_frames(files.len())?;
        let deadline = Deadline::of(limits);
        let mut unreadable = Unreadable::default();
        let (mut readable, mut size) = (Vec::with_capacity(files.len()), None);
        for file in files {
            deadline.check()?;
            match file_dimensions(&file, &limits.image) {
                Ok(found) => {
                    size.get_or_insert(found);
                    readable.push(file);
                }
                Err(error) if is_damage(&error) => unreadable.add(&file, &error),
                Err(source) => return Err(Error::Frame { index: readable.len(), source }),
            }
        }
        let Some((height, width)) = size else { return Err(unreadable.error()) };
        let metadata = VideoMetadata { frames: readable.len(), fps: None, duration: None, height, width };
        let notes = unreadable.notes();
        Ok(Self { files: readable, metadata, unreadable, notes, limits: limits.clone() })
    }
}

impl FrameSource for FrameFolder {
    fn metadata(&self) -> &VideoMetadata {
        &self.metadata
    }

    fn stamp(&self, index: usize) -> FrameStamp {
        FrameStamp { index, time: None }
    }

    fn notes(&self) -> &[VideoNote] {
        &self.notes
    }

    fn read(&mut self, indices: &[usize], sink: &mut FrameSink<'_>) -> Result<(), Error> {
        let deadline = Deadline::of(&self.limits);
        let mut is_empty = true;
        for &index in indices {
            deadline.check()?;
            let missing = Error::MissingFrame { index, frames: self.files.len() };
            let file = self.files.get(index).ok_or(missing)?;
            match decode_file(file, &self.limits.image) {
                Ok(image) => {
                    is_empty = false;
                    sink(index, &image)?;
                }
                Err(error) if is_damage(&error) => {
                    if self.unreadable.frames.insert(index) {
                        self.unreadable.add(file, &error);
                    }
                }
                Err(source) => return Err(Error::Frame { index, source }),
            }
        }
        self.notes = self.unreadable.notes();
        if is_empty && !indices.is_empty() { Err(self.unreadable.error()) } else { Ok(()) }
    }
}

impl Unreadable {
    fn add(&mut self, file: &Path, error: &smolvlm_image::Error) {
        self.count += 1;
        if self.shown.len() < MAX_SHOWN {
            let reason = match error {
                smolvlm_image::Error::File { source, .. } => source.to_string(),
                smolvlm_image::Error::Io { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            self.shown.push(format!("{} ({reason})", shown_name(file)));
        }
    }

    fn notes(&self) -> Vec<VideoNote> {
        let note = || VideoNote::UnreadableImages { files: self.count, shown: self.shown.clone() };
        if self.count > 0 { vec![note()] } else { Vec::new() }
    }

    fn error(&self) -> Error {
        match self.shown.first() {
            Some(first) => Error::UnreadableFolder { files: self.count, first: first.clone() },
            None => Error::NoFrames,
        }
    }
}

/// A file's name without its folder, with control characters replaced, which could affect a terminal.
fn shown_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.chars().map(|character| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character }).collect()
}

/// Whether a file is damaged or not an image, as opposed to over the limits or without read permission.
fn is_damage(error: &smolvlm_image::Error) -> bool {
    use smolvlm_image::Error;
    match error {
        Error::File { source, .. } => is_damage(source),
        Error::Io { source, .. } => source.kind() == io::ErrorKind::UnexpectedEof,
        Error::Empty | Error::UnknownFormat | Error::Decode { .. } | Error::EmptyImage { .. } => true,
        _ => false,
    }
}

/// Lists the image files of a folder in natural order: `frame2.png` before `frame10.png`. Hidden files, folders and
/// files without the extension of an image format are excluded.
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
            limits.check_frames(files.len())?;
        }
    }
    // The raw name orders names that differ only in invalid UTF-8.
    files.sort_by_cached_key(|path| {
        let name = path.file_name().unwrap_or_default();
        (natural_key(&name.to_string_lossy()), name.to_owned())
    });
    Ok(files)
}

/// The key for natural order: runs of digits compare as numbers (without leading zeros, by length, then by digits).
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
    use super::{FrameFolder, frame_files, natural_key};
    use crate::{Error, FrameSource, Limits};
    use std::fs;
    use std::path::Path;

    const STILL: &[u8] = include_bytes!("../../../tests/golden/media/square.png");

    #[test]
    fn files_are_in_natural_order() {
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

    fn write(folder: &Path, files: &[(&str, &[u8])]) {
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    fn read(video: &mut FrameFolder, indices: &[usize]) -> Result<Vec<usize>, Error> {
        let mut seen = Vec::new();
        video.read(indices, &mut |index, _| {
            seen.push(index);
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn unreadable_files_are_skipped_with_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let cut = &STILL[..STILL.len() / 2];
        let files: [(&str, &[u8]); 5] =
            [("f1.png", STILL), ("f2.png", b""), ("f3\n.png", b"some words"), ("f4.png", cut), ("f10.png", STILL)];
        write(folder.path(), &files);
        let mut video = FrameFolder::open(folder.path(), &Limits::default()).unwrap();
        // The header of `f4.png` is complete.
        assert_eq!(video.metadata().frames, 3);
        let note = video.notes()[0].to_string();
        assert!(note.starts_with("2 image files") && note.contains("f2.png (the image is empty"), "{note}");
        assert!(note.contains("f3\u{fffd}.png (no image format") && !note.contains('\n'), "{note}");
        assert!(!note.contains(&*folder.path().to_string_lossy()), "{note}");
        for _ in 0..2 {
            assert_eq!(read(&mut video, &[0, 1, 2]).unwrap(), [0, 2]);
            let note = video.notes()[0].to_string();
            assert!(video.notes().len() == 1 && note.starts_with("3 image files") && note.contains("f4.png"), "{note}");
        }
        assert!(matches!(read(&mut video, &[1]), Err(Error::UnreadableFolder { .. })));
        assert!(matches!(read(&mut video, &[3]), Err(Error::MissingFrame { .. })));
    }

    #[test]
    fn folders_without_a_readable_image_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(FrameFolder::open(folder.path(), &Limits::default()), Err(Error::EmptyFolder)));
        write(folder.path(), &[("a.png", b""), ("b.png", b"words")]);
        let error = FrameFolder::open(folder.path(), &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("none of the 2 image files") && error.contains("a.png"), "{error}");
    }

    #[test]
    fn images_over_the_limits_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("a.png", STILL)]);
        let image = smolvlm_image::Limits { max_pixels: 10, ..Default::default() };
        let error = FrameFolder::open(folder.path(), &Limits { image, ..Limits::default() }).unwrap_err().to_string();
        assert!(error.contains("--max-image-pixels"), "{error}");
    }

    #[test]
    fn notes_on_many_unreadable_files_are_short() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("a.png", STILL)]);
        for at in 0..100 {
            fs::write(folder.path().join(format!("b{at}.png")), "").unwrap();
        }
        let video = FrameFolder::open(folder.path(), &Limits::default()).unwrap();
        let note = video.notes()[0].to_string();
        assert!(note.len() < 500 && note.contains("b7.png") && note.ends_with("and 92 more"), "{note}");
    }
}
