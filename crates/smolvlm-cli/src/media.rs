//! Images and videos that the command line names.

use crate::say;
use smolvlm::processor::{MediaKind, VideoNote, media_kind};
use smolvlm::{Content, ImageSource, VideoSource};

/// An image or a video, whichever the file holds.
pub fn image_or_video(place: &str) -> Content {
    match media_kind(place) {
        MediaKind::Image => image(place),
        MediaKind::Video => video(place),
    }
}

/// Prints notes on media that can be used all the same to stderr.
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
