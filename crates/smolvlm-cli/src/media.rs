//! Is it an image or a video? The command line says only where it lies.

use smolvlm::{Content, ImageSource, VideoSource};
use std::path::Path;

/// Endings of files that are videos. Others can be, too: animated WebP and PNG, which `--as-video` is for.
const VIDEO_ENDINGS: [&str; 11] = ["mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mpg", "mpeg", "gif", "apng"];

/// Whether a path or URL is taken for a video: a folder, or a name that ends like one.
pub fn is_video(medium: &str) -> bool {
    if let Some(data) = strip_prefix(medium, "data:") {
        return strip_prefix(data, "video/").or(strip_prefix(data, "image/gif")).is_some();
    }
    let is_url = ["http:", "https:", "file:"].iter().any(|scheme| strip_prefix(medium, scheme).is_some());
    let path = match medium.find(['?', '#']) {
        Some(end) if is_url => &medium[..end],
        _ => medium,
    };
    let ending = Path::new(path).extension().and_then(|ending| ending.to_str());
    let ends_like_one =
        ending.is_some_and(|ending| VIDEO_ENDINGS.iter().any(|video| video.eq_ignore_ascii_case(ending)));
    ends_like_one || (!is_url && Path::new(path).is_dir())
}

/// An image at a path or URL.
pub fn image(place: &str) -> Content {
    Content::Image(ImageSource::from(place))
}

/// A video at a path or URL.
pub fn video(place: &str) -> Content {
    Content::Video(VideoSource::from(place))
}

/// What stands behind a prefix, in whatever case that is written.
fn strip_prefix<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::is_video;

    #[test]
    fn names_tell_videos_from_images() {
        for video in [
            "a.mp4",
            "dir.png/B.MKV",
            "moving.gif",
            "a.apng",
            "src",
            "HTTPS://host/clip.webm?size=x.png",
            "https://host/clip.mov#t=3",
            "file:///tmp/a.avi",
            "data:video/mp4;base64,AAAA",
            "data:image/gif;base64,AAAA",
        ] {
            assert!(is_video(video), "{video}");
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
            "",
        ] {
            assert!(!is_video(image), "{image}");
        }
    }
}
