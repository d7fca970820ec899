//! Sources of images and videos.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smolvlm_image::Rgb;
use smolvlm_video::Ratio;

use crate::error::Position;
use crate::files::file_path;

/// Source of an image.
///
/// Strings are converted as follows: a string that starts with `data:`, `file:`, `http:` or `https:`, or has another
/// scheme followed by `://`, is a URL, any other string a path.
#[derive(Clone)]
#[non_exhaustive]
pub enum ImageSource {
    /// A file. As in the reference, a path that does not exist may also be the image itself in base64.
    Path(PathBuf),
    /// A `file:`, `data:`, `http:` or `https:` URL; the last two need the cargo feature `http`.
    Url(String),
    /// An encoded image file (PNG, JPEG, ...) in base64, with or without a `data:` prefix.
    Base64(String),
    /// An encoded image file (PNG, JPEG, ...).
    Bytes(Arc<[u8]>),
    /// Decoded pixels.
    Decoded(Arc<Rgb>),
}

/// Source of a video.
///
/// Strings are converted as for images.
#[derive(Clone)]
#[non_exhaustive]
pub enum VideoSource {
    /// A file, or a folder of frame images.
    Path(PathBuf),
    /// A `file:`, `data:`, `http:` or `https:` URL; the last two need the cargo feature `http`.
    Url(String),
    /// An encoded video file in base64, with or without a `data:` prefix.
    Base64(String),
    /// An encoded video file.
    Bytes(Arc<[u8]>),
    /// A list of frames.
    Frames(FrameList),
}

/// A video as a list of frames.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrameList {
    /// The frames in order.
    pub images: Vec<ImageSource>,
    /// Frames per second. If set, the frames are sampled like those of any other video. Otherwise all frames are used,
    /// unless [`Processor::sampling_images`](crate::Processor::sampling_images) is set, and their timestamps in the
    /// prompt assume 24 frames per second, as in the reference.
    pub fps: Option<Ratio>,
    /// Duration of the video in seconds. If not set, the prompt uses the time of the last frame.
    pub duration: Option<Ratio>,
}

impl FrameList {
    /// A list of the given frames, all of which are used.
    pub fn new<T: Into<ImageSource>>(images: impl IntoIterator<Item = T>) -> Self {
        Self { images: images.into_iter().map(Into::into).collect(), fps: None, duration: None }
    }

    /// Sets the frames per second.
    #[must_use]
    pub fn fps(mut self, fps: Ratio) -> Self {
        self.fps = Some(fps);
        self
    }

    /// Sets the duration of the video in seconds.
    #[must_use]
    pub fn duration(mut self, duration: Ratio) -> Self {
        self.duration = Some(duration);
        self
    }
}

/// Prints only the size of data.
impl fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&shorten(url)).finish(),
            Self::Base64(text) => write!(f, "Base64({} characters)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Decoded(rgb) => write!(f, "Decoded({}x{})", rgb.height(), rgb.width()),
        }
    }
}

/// Prints only the size of data.
impl fmt::Debug for VideoSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&shorten(url)).finish(),
            Self::Base64(text) => write!(f, "Base64({} characters)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Frames(frames) => write!(f, "Frames({} frames)", frames.images.len()),
        }
    }
}

/// Shortens a URL for debug output: a `data:` URL may be megabytes long.
fn shorten(url: &str) -> String {
    const KEPT: usize = 100;
    match url.char_indices().nth(KEPT) {
        Some((end, _)) => url.get(..end).map_or_else(String::new, |head| format!("{head}...")),
        None => url.to_owned(),
    }
}

/// The part of a URL that errors show: scheme, host and port. Paths and queries may contain secrets, and a `data:` URL
/// may be megabytes long.
pub(crate) fn origin(url: &str) -> String {
    const MAX_CHARS: usize = 100;
    let Some(scheme @ ("http" | "https")) = scheme(url) else {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme = (1..=10).contains(&scheme.len()) && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return if is_scheme { format!("{scheme}:") } else { String::new() };
    };
    let rest = url.get(scheme.len() + 1..).unwrap_or_default().trim_start_matches(['/', '\\']);
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{}", host.chars().take(MAX_CHARS).collect::<String>())
}

/// The scheme of a supported URL at the start of the text.
pub(crate) fn scheme(text: &str) -> Option<&'static str> {
    ["data", "file", "http", "https"].into_iter().find(|scheme| {
        let head = text.get(..scheme.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(scheme)) && text.as_bytes().get(scheme.len()) == Some(&b':')
    })
}

/// Whether a text is a URL rather than a path; its scheme may be unsupported.
fn is_url(text: &str) -> bool {
    let has_scheme = |(scheme, _): (&str, &str)| {
        // A single letter is a Windows drive.
        scheme.len() > 1
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
    };
    scheme(text).is_some() || text.split_once("://").is_some_and(has_scheme)
}

/// Defines the conversions shared by images and videos.
macro_rules! conversions {
    ($source:ident) => {
        impl $source {
            /// The path of a local file or folder, given by its path or a `file:` URL; none for any other source.
            pub fn local_path(&self) -> Option<PathBuf> {
                match self {
                    Self::Path(path) => Some(path.clone()),
                    Self::Url(url) if scheme(url) == Some("file") => file_path(url, Position::default()).ok(),
                    _ => None,
                }
            }
        }

        impl From<&str> for $source {
            fn from(text: &str) -> Self {
                Self::from(text.to_owned())
            }
        }

        impl From<String> for $source {
            fn from(text: String) -> Self {
                if is_url(&text) { Self::Url(text) } else { Self::Path(PathBuf::from(text)) }
            }
        }

        impl From<&Path> for $source {
            fn from(path: &Path) -> Self {
                Self::Path(path.to_owned())
            }
        }

        impl From<PathBuf> for $source {
            fn from(path: PathBuf) -> Self {
                Self::Path(path)
            }
        }

        impl From<Vec<u8>> for $source {
            fn from(bytes: Vec<u8>) -> Self {
                Self::Bytes(bytes.into())
            }
        }

        impl From<Arc<[u8]>> for $source {
            fn from(bytes: Arc<[u8]>) -> Self {
                Self::Bytes(bytes)
            }
        }

        impl From<&[u8]> for $source {
            fn from(bytes: &[u8]) -> Self {
                Self::Bytes(bytes.into())
            }
        }
    };
}

conversions!(ImageSource);
conversions!(VideoSource);

impl From<Rgb> for ImageSource {
    fn from(image: Rgb) -> Self {
        Self::Decoded(Arc::new(image))
    }
}

impl From<Arc<Rgb>> for ImageSource {
    fn from(image: Arc<Rgb>) -> Self {
        Self::Decoded(image)
    }
}

impl From<FrameList> for VideoSource {
    fn from(frames: FrameList) -> Self {
        Self::Frames(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_have_a_local_path() {
        for source in ["a b.png", "file:///a%20b.png", "FILE:a%20b.png"] {
            let path = ImageSource::from(source).local_path();
            assert_eq!(path.as_deref().and_then(Path::file_name), Some("a b.png".as_ref()), "{source}");
            assert_eq!(VideoSource::from(source).local_path(), path);
        }
        for source in ["http://h/a", "data:,a", "file://host/a"] {
            assert_eq!(ImageSource::from(source).local_path(), None, "{source}");
        }
    }

    #[test]
    fn strings_convert_to_urls_or_paths() {
        for url in ["data:image/png;base64,AA==", "file:///a.png", "http://h/a", "HTTPS://h/a", "ftp://h/a", "s3://b/a"]
        {
            assert!(matches!(ImageSource::from(url), ImageSource::Url(_)), "{url}");
            assert!(matches!(VideoSource::from(url), VideoSource::Url(_)), "{url}");
        }
        for path in ["photo.jpg", "http_photo.png", "/tmp/data", "c:/x.png", "c://x.png/://", "", "://", "日本.png"] {
            assert!(matches!(ImageSource::from(path), ImageSource::Path(_)), "{path}");
        }
    }

    #[test]
    fn origin_contains_no_secrets() {
        for (url, shown) in [
            ("https://user:secret@example.com:8080/path?token=1#f", "https://example.com:8080"),
            ("HTTP://example.com", "http://example.com"),
            ("http://example.com?token=1", "http://example.com"),
            ("http://a\\@b/secret", "http://a"),
            ("file:///home/me/a.png", "file:"),
            ("data:image/png;base64,AAAA", "data:"),
            ("ftp://h/a.png", "ftp:"),
            ("a secret: that is no URL", ""),
            ("secret", ""),
        ] {
            assert_eq!(origin(url), shown, "{url}");
        }
    }

    #[test]
    fn debug_output_omits_the_data() {
        let long = format!("data:image/png;base64,{}", "A".repeat(10_000));
        for source in
            [ImageSource::from(long), ImageSource::Base64("A".repeat(10_000)), ImageSource::from(vec![0_u8; 10_000])]
        {
            assert!(format!("{source:?}").len() < 200);
        }
        assert!(format!("{:?}", VideoSource::from(vec![0_u8; 10_000])).len() < 200);
    }
}
