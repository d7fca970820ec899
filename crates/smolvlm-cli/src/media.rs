//! Images and videos from command-line arguments.

use crate::say;
use smolvlm::processor::{MediaKind, VideoNote, media_kind};
use smolvlm::{Content, ImageSource, VideoSource};

/// An image or a video, detected by the file's content.
pub fn image_or_video(place: &str) -> Content {
    match media_kind(place) {
        MediaKind::Image => image(place),
        MediaKind::Video => video(place),
    }
}

/// Prints warnings about images and videos to stderr.
pub fn print_notes<'a>(notes: impl IntoIterator<Item = &'a VideoNote>) {
    for note in notes {
        say::note(note);
    }
}

/// An image at a path or URL.
pub fn image(place: &str) -> Content {
    Content::Image(ImageSource::from(place))
}

/// A video at a path or URL.
pub fn video(place: &str) -> Content {
    Content::Video(VideoSource::from(place))
}
