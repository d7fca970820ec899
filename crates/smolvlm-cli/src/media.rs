//! Images and videos from command-line arguments.

use crate::failure::Failure;
use crate::{pipe, say};
use smolvlm::processor::{MediaKind, Processor, VideoNote};
use smolvlm::{Content, ImageSource, VideoSource};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// An image or a video, detected by content, or always a video if `as_video` is set. A name that is not UTF-8 is a
/// path.
///
/// # Errors
///
/// A URL that cannot be fetched.
pub fn image_or_video(place: &OsStr, as_video: bool, processor: &Processor) -> Result<Content, Failure> {
    let path = Path::new(place);
    Ok(match place.to_str() {
        Some(place) if as_video => video(place),
        Some(place) => processor.content(place).map_err(smolvlm::Error::from)?,
        None if as_video || MediaKind::of_path(path) == Some(MediaKind::Video) => Content::Video(path.into()),
        None => Content::Image(path.into()),
    })
}

/// The images and videos among some media that come from pipes; none for the others.
///
/// # Errors
///
/// Those of [`pipe::read`].
pub fn read_pipes(media: &[OsString], as_video: bool) -> Result<Vec<Option<Content>>, Failure> {
    media.iter().map(|medium| pipe::read(medium, as_video)).collect()
}

/// All media, of which some come from [pipes](read_pipes).
///
/// # Errors
///
/// Those of [`image_or_video`].
pub fn contents(
    media: &[OsString],
    piped: Vec<Option<Content>>,
    as_video: bool,
    processor: &Processor,
) -> Result<Vec<Content>, Failure> {
    let piped = piped.into_iter().chain(std::iter::repeat_with(|| None));
    let content = |(medium, piped): (&OsString, Option<Content>)| match piped {
        Some(content) => Ok(content),
        None => image_or_video(medium, as_video, processor),
    };
    media.iter().zip(piped).map(content).collect()
}

/// Prints warnings about images and videos to stderr.
pub fn print_notes<'a>(notes: impl IntoIterator<Item = &'a VideoNote>) {
    for note in notes {
        say::note(note);
    }
}

/// The question about some images and videos without a prompt: the checkpoint's, or a usual one.
pub fn default_prompt<'a>(content: &[Content], processor: &'a Processor) -> &'a str {
    let prompts = &processor.config().default_prompts;
    let (own, usual) = match content {
        [Content::Video(_), ..] => (&prompts.video, "Can you describe this video?"),
        [Content::Image(_)] => (&prompts.image, "Can you describe this image?"),
        _ => (&prompts.images, "Can you describe this image?"),
    };
    own.as_deref().unwrap_or(usual)
}

/// An image at a path or URL.
pub fn image(place: &str) -> Content {
    Content::Image(ImageSource::from(place))
}

/// A video at a path or URL.
pub fn video(place: &str) -> Content {
    Content::Video(VideoSource::from(place))
}
