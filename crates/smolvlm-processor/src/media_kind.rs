//! Detection of images and videos by path or URL.

use std::io::Cursor;
use std::path::Path;

use smolvlm_video::{Cancel, MediaKind};

use crate::error::{Error, Position};
use crate::files::file_path;
use crate::inline::data_url;
use crate::limits::ProcessorLimits;
use crate::media::Opener;
use crate::message::Content;
use crate::processor::Processor;
use crate::source::{ImageSource, VideoSource, scheme};

/// Detects whether a path or URL refers to an image or a video, from the content of a file or `data:` URL, or otherwise
/// from the name. A folder is a video; an image is assumed if neither content nor name tells. For `http:` and `https:`
/// URLs only the name is used; [`Processor::content`](crate::Processor::content) downloads them.
pub fn media_kind(source: &str) -> MediaKind {
    let at = Position::default();
    let kind = match scheme(source) {
        Some("data") => {
            let bytes = data_url(source, ProcessorLimits::default().max_video_bytes, at).ok();
            let is_video = || source.get(5..11).is_some_and(|kind| kind.eq_ignore_ascii_case("video/"));
            bytes.and_then(|bytes| kind_of_bytes(&bytes)).or_else(|| is_video().then_some(MediaKind::Video))
        }
        Some("file") => file_path(source, at).ok().and_then(|path| MediaKind::of_path(&path)),
        Some(_) => source.split(['?', '#']).next().and_then(MediaKind::of_name),
        None => MediaKind::of_path(Path::new(source)),
    };
    kind.unwrap_or(MediaKind::Image)
}

impl Processor {
    /// The image or video at a path or URL, detected as by [`media_kind`]. An `http:` or `https:` URL is downloaded
    /// once, within the limits and the media policy, and its kind is detected from the content.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] and the errors of downloads.
    pub fn content(&self, source: &str) -> Result<Content, Error> {
        if matches!(scheme(source), Some("http" | "https")) {
            return Opener::new(self, Cancel::new()).fetched(source, Position::default());
        }
        Ok(match media_kind(source) {
            MediaKind::Image => Content::Image(ImageSource::from(source)),
            MediaKind::Video => Content::Video(VideoSource::from(source)),
        })
    }
}

/// Detects the kind of a file from its bytes; none if it is not recognized.
pub(crate) fn kind_of_bytes(bytes: &[u8]) -> Option<MediaKind> {
    MediaKind::of_bytes(&mut Cursor::new(bytes), "").ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::media_kind;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use smolvlm_video::MediaKind;

    const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus");

    #[test]
    fn kind_is_detected_from_the_name() {
        for video in [
            "a.mp4",
            "dir.png/B.MKV",
            "moving.gif",
            "a.apng",
            "src",
            "HTTPS://host/clip.webm?size=x.png",
            "https://host/clip.mov#t=3",
            "file:///tmp/no-such-file.avi",
            "data:video/mp4;base64,AAAA",
        ] {
            assert_eq!(media_kind(video), MediaKind::Video, "{video}");
        }
        for image in [
            "a.jpg",
            "mp4",
            "a.mp4.png",
            "moving.webp",
            "a.png?x.mp4.jpg",
            "https://host/photo.jpg?next=clip.mp4",
            "https://host/src",
            "data:image/png;base64,AAAA",
            "data:",
            "",
        ] {
            assert_eq!(media_kind(image), MediaKind::Image, "{image}");
        }
    }

    #[test]
    fn content_takes_precedence_over_the_name() {
        for (name, kind) in [
            ("clips/moving.webp", MediaKind::Video),
            ("clips/raw.h264", MediaKind::Video),
            ("harbour.jpg", MediaKind::Image),
        ] {
            let path = format!("{CORPUS}/{name}");
            let data = STANDARD.encode(std::fs::read(&path).unwrap());
            assert_eq!(media_kind(&path), kind, "{name}");
            assert_eq!(media_kind(&format!("file://{path}")), kind, "{name}");
            assert_eq!(media_kind(&format!("data:image/png;base64,{data}")), kind, "{name}");
        }
    }
}
